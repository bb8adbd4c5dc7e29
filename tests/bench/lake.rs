//! What comes in from the lake: reports and readings that differ in nothing but ids, places and times.

use jiff::Timestamp;
use jijia::lake::Place;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A UUID of version 4 that only `n` decides; spread over all keys like a random one.
pub fn id(n: u64) -> Uuid {
    let digest = Sha256::digest(n.to_le_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A filled sewage form at outfall `n` of the place, modulo their number.
pub fn report(n: u64, at: Timestamp, place: &Place, photos: &[String]) -> Value {
    let outfall = &place.outfalls[n as usize % place.outfalls.len()];
    let off = (n % 17) as f64 * 1e-6;
    json!({
        "id": id(n), "kind": "sewage_outflow",
        "position": { "lng": outfall.position.lng + off, "lat": outfall.position.lat - off, "crs": "wgs84",
            "accuracy_m": 4.0 + (n % 5) as f64, "source": "device", "fix_age_s": 1.5 },
        "observed_at": at, "person": { "id": format!("p{}", n % 12), "name": "巡护员甲" },
        "patrol": id(n / 20 + (1 << 40)),
        "sewage": { "flow": "small", "flow_l_s": 0.4, "flow_method": "容积法", "colour": "grey", "odour": "faecal",
            "turbidity": "turbid", "floatables": ["foam", "toilet_paper"], "severity_colour": 2, "severity_odour": 2,
            "rapid": [{ "property": "nh3n", "value": 5.2, "kit": "氨氮比色管", "lot": "2026A" }], "weather": "晴" },
        "note": "排口下方水面有白色泡沫，顺岸向北漂移约20米",
        "photos": photos,
    })
}

/// The hash of a photo that has not come.
pub fn photo_hash(n: u64) -> String {
    hex::encode(Sha256::digest(format!("photo {n}")))
}

/// Keys of the shipped mapping.
pub const KEYS: [&str; 8] = ["wt", "ph", "do", "ec", "turbidity", "nh3n", "codmn", "tp"];

/// A message with a value for each key.
pub fn readings(n: u64, at_ms: i64, keys: &[&str]) -> String {
    let pairs: Vec<String> =
        keys.iter().enumerate().map(|(i, key)| format!("\"{key}\":{}.{:02}", 5 + i, n % 97)).collect();
    format!("{{\"ts\":{at_ms},\"values\":{{{}}}}}", pairs.join(","))
}

/// Message `n` of `values` values: one of 50 devices, each a second after the last; the device and the payload.
pub fn message(n: u64, start_ms: i64, values: usize) -> (String, String) {
    (format!("D{:02}", n % 50), readings(n, start_ms + (n / 50) as i64 * 1000, &KEYS[..values]))
}
