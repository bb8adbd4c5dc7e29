//! Bad input through HTTP: each answers with a problem that names the field and says what is allowed, and nothing is
//! stored.

use jiff::{SignedDuration, Timestamp};
use jijia::clock::Clock;
use jijia::lake::load::embedded;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::{MAX_PHOTO_BYTES, Service, files_under, id, jpeg, report, request, sha256_of, with};

/// Path of the change, new value, status, field, words of the answer.
type Case = (&'static str, Value, u16, &'static str, &'static str);

fn from_now(hours: i64) -> Value {
    json!((Timestamp::now() + SignedDuration::from_hours(hours)).to_string())
}

/// A service on a fresh directory, and the size of its log and its files, which no refusal may change.
struct Bench {
    dir: tempfile::TempDir,
    service: Service,
    size: u64,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::start(dir.path()).await;
        let size = service.log_size().await;
        Self { dir, service, size }
    }

    async fn refuse(&self, target: &str, base: &Value, cases: &[Case]) {
        for (path, to, status, field, words) in cases {
            let body = with(base.clone(), path, to.clone());
            let answer = self.service.post(target, &body).await;
            let detail = answer.problem(*status, field)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(words), "{path}: {detail}");
            assert_eq!(self.service.log_size().await, self.size, "{path}: something was stored");
        }
        assert_eq!(files_under(self.dir.path()), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_wrong_places_times_and_words() {
    let bench = Bench::new().await;
    let at =
        |lng: f64, lat: f64, source: &str| json!({"lng": lng, "lat": lat, "crs": "wgs84", "source": source});
    let outside = "within the place's neighbourhood";
    let cases: Vec<Case> = vec![
        ("/position", at(113.2, 29.4, "typed"), 422, "position.lat", outside),
        ("/position", at(113.2, 29.4, "imported"), 422, "position.lat", outside),
        ("/position", at(121.47, 31.23, "map"), 422, "position.lat", outside),
        ("/position", at(29.39928, 113.114079, "typed"), 422, "position.lat", "longitude are swapped?"),
        ("/position", at(29.39928, 113.114079, "device"), 422, "position.lat", "longitude are swapped?"),
        ("/position/crs", json!("wgs72"), 422, "position.crs", "gcj02"),
        ("/position/crs", Value::Null, 422, "position.crs", "missing"),
        ("/position/accuracy_m", json!(-1), 422, "position.accuracy_m", "from 0"),
        ("/position/fix_age_s", json!(-1), 422, "position.fix_age_s", "from 0"),
        ("/position/lat", json!("29.4"), 422, "position.lat", "f64"),
        ("/position", Value::Null, 422, "position", "no_position"),
        ("/no_position", json!("没有信号"), 422, "no_position", "one of the two"),
        ("/observed_at", from_now(1), 422, "observed_at", "up to the server's time"),
        ("/observed_at", json!("1999-12-31T23:00:00Z"), 422, "observed_at", "2000-01-01"),
        ("/observed_at", json!("2026-07-01 08:00"), 422, "observed_at", ""),
        ("/device_at", from_now(31 * 24), 422, "device_at", "up to 30 days"),
        ("/kind", json!("fire"), 422, "kind", "nothing_found"),
        ("/colour", json!("red"), 422, "colour", "sewage"),
        ("/sewage/color", json!("grey"), 422, "sewage.color", "colour"),
        ("/sewage/colour", json!("red"), 422, "sewage.colour", "grey"),
        ("/position/altitude", json!(30), 422, "position.altitude", "accuracy_m"),
        ("/sewage/flow_l_s", json!(-1), 422, "sewage.flow_l_s", "allowed: 0"),
        ("/note", json!("水".repeat(4001)), 413, "note", "allowed: 4000"),
        ("/note", json!("a\u{0}b"), 422, "note", "control characters"),
        ("/id", json!("00000000-0000-0000-0000-000000000000"), 422, "id", "random UUID"),
        ("/id", json!("7"), 422, "id", "UUID"),
        ("/person/id", json!("张三"), 422, "person.id", "opaque"),
        ("/person", Value::Null, 422, "person", "missing"),
        ("/outfall", json!("JJH-PK-9999"), 422, "outfall", "JJH-PK-0003"),
        ("/photos", json!(["../../etc/passwd"]), 422, "photos[0]", "64 lower-case hex"),
        ("/photos", json!(["ab".repeat(32), "ab".repeat(32)]), 422, "photos[1]", "named twice"),
        ("/photos", json!(vec!["x"; 21]), 422, "photos", "allowed: 20"),
        ("/hyacinth", json!({"area_m2": 3}), 422, "hyacinth", "one form"),
    ];
    bench.refuse("/api/v1/reports", &report(1), &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hyacinth_forms_that_nobody_can_have_seen() {
    let bench = Bench::new().await;
    let base = with(with(report(1), "/kind", json!("water_hyacinth")), "/sewage", Value::Null);
    let base = with(base, "/hyacinth", json!({"growth": "patches"}));
    let ring = |second: [f64; 2]| json!([[113.114, 29.399], second, [113.114, 29.4], [113.114, 29.399]]);
    let cases: Vec<Case> = vec![
        ("/hyacinth/area_m2", json!(-5), 422, "hyacinth.area_m2", "allowed: 0"),
        ("/hyacinth/cover_pct", json!(140), 422, "hyacinth.cover_pct", "0 to 100"),
        ("/hyacinth/growth", json!("huge"), 422, "hyacinth.growth", "patches"),
        ("/hyacinth/polygon", json!([[113.1, 29.4], [113.2, 29.4]]), 422, "hyacinth.polygon", "closed ring"),
        (
            "/hyacinth/polygon",
            ring([113.2, 29.4]),
            422,
            "hyacinth.polygon[1]",
            "113.2 lies outside the neighbourhood",
        ),
        ("/hyacinth/polygon", ring([29.4, 80.0]), 422, "hyacinth.polygon[1]", "allowed: within"),
        ("/sewage", json!({"flow": "none"}), 422, "hyacinth", "one form"),
        ("/kind", json!("nothing_found"), 422, "hyacinth", "water_hyacinth"),
    ];
    bench.refuse("/api/v1/reports", &base, &cases).await;
    // The ring's reference system is that of the position; its own points are drawn, whatever the position is.
    let nowhere = with(with(base.clone(), "/position", Value::Null), "/no_position", json!("没有信号"));
    let good = ring([113.115, 29.4]);
    let alone: Vec<Case> = vec![("/hyacinth/polygon", good, 422, "hyacinth.polygon", "beside a position")];
    bench.refuse("/api/v1/reports", &nowhere, &alone).await;
    let device = with(base, "/position/source", json!("device"));
    let far: Vec<Case> =
        vec![("/hyacinth/polygon", ring([113.2, 29.4]), 422, "hyacinth.polygon[1]", "outside")];
    bench.refuse("/api/v1/reports", &device, &far).await;
}

/// Name, headers, body, status, field, words of the answer.
type Body<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16, &'a str, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_report_at_all() {
    let bench = Bench::new().await;
    let good = report(1).to_string();
    let number = |to: &str| good.replace("29.39928", to).into_bytes();
    let gzip: Vec<u8> = [0x1f, 0x8b, 8, 0].into_iter().chain(vec![0; 4096]).collect();
    let note = with(report(1), "/note", json!("水".repeat(3_500_000))).to_string().into_bytes();
    assert!(note.len() > 10_000_000);
    let plain: &[(&str, &str)] = &[];
    let cases: [Body; 13] = [
        ("NaN", plain, number("NaN"), 422, "position.lat", ""),
        ("Infinity", plain, number("Infinity"), 422, "position.lat", ""),
        ("1e999", plain, number("1e999"), 422, "position.lat", "number out of range"),
        ("empty", plain, vec![], 422, "", "EOF"),
        ("cut", plain, good.as_bytes()[..good.len() - 1].to_vec(), 422, "", "EOF"),
        ("two", plain, [good.as_bytes(), good.as_bytes()].concat(), 422, "", "one JSON object"),
        ("not UTF-8", plain, vec![b'{', 0xff, b'}'], 422, "", ""),
        ("deep", plain, [b"{\"id\":", "[".repeat(100_000).as_bytes()].concat(), 422, "id", "UUID"),
        ("10 MB note", plain, note, 413, "body", "allowed: 1048576 bytes"),
        ("gzip", &[("content-encoding", "gzip")], gzip, 415, "Content-Encoding", "allowed: identity"),
        ("gzip, not said", plain, vec![0x1f, 0x8b, 8, 0, 0, 0], 422, "", "expected value"),
        ("br", &[("content-encoding", "br")], good.clone().into_bytes(), 415, "Content-Encoding", "identity"),
        ("clock", &[("device-time", "yesterday")], good.clone().into_bytes(), 422, "Device-Time", "RFC 3339"),
    ];
    for (name, headers, body, status, field, words) in cases {
        let answer = bench.service.send("POST", "/api/v1/reports", headers, &body).await;
        let problem = answer.problem(status, field);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{name}: {problem}");
        assert_eq!(bench.service.log_size().await, bench.size, "{name}");
    }
}

/// Whoever is refused before anybody read the body has sent all of it, and hears why: no connection is reset over it.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_at_the_door_hears_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let start = |s: &mut jijia::web::Settings| s.access.open = false;
    let guarded = Service::start_with(dir.path(), embedded(), Clock::System, start).await;
    let bench = Bench::new().await;
    let body = vec![b'x'; 16 << 20];
    let photo = format!("/api/v1/photos/{}", sha256_of(&body));
    let elsewhere: &[(&str, &str)] = &[("origin", "https://elsewhere.example")];
    let cases = [
        (&bench.service, "PUT", photo.as_str(), elsewhere, 403),
        (&bench.service, "POST", "/api/v1/reports", elsewhere, 403),
        (&bench.service, "POST", "/api/v1/nothing", &[], 404),
        (&bench.service, "DELETE", "/api/v1/reports", &[], 405),
        (&guarded, "PUT", &photo, &[], 401),
        (&guarded, "POST", "/api/v1/reports", &[], 401),
    ];
    for (service, method, target, headers, status) in cases {
        for _ in 0..3 {
            let answer = service.send(method, target, headers, &body).await;
            assert_eq!(answer.status, status, "{method} {target} {headers:?}");
        }
    }
    // One who waits to be asked for the body is not asked for what nobody wants; only where the answer took so long that the
    // client may have begun by itself. That is this machine's doing, and not three times over.
    let head = request("POST", "/api/v1/reports", &[elsewhere[0], ("expect", "100-continue")], b"later");
    let mut unasked = false;
    for _ in 0..3 {
        let mut waiting = TcpStream::connect(bench.service.address).await.unwrap();
        waiting.write_all(&head[..head.len() - 5]).await.unwrap();
        let mut heard = Vec::new();
        waiting.read_to_end(&mut heard).await.unwrap();
        unasked |= heard.starts_with(b"HTTP/1.1 403 ");
    }
    assert!(unasked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_phone_itself_said_is_kept_and_flagged() {
    let bench = Bench::new().await;
    let flags = async |n: u32, body: &Value, device_time: Option<String>| {
        let headers: Vec<(&str, &str)> = device_time.iter().map(|t| ("device-time", t.as_str())).collect();
        let answer =
            bench.service.send("POST", "/api/v1/reports", &headers, body.to_string().as_bytes()).await;
        answer.created();
        let sighting = bench.service.get(&format!("/api/v1/reports/{}", id(n))).await.json();
        (sighting["flags"].to_string(), sighting)
    };
    let shanghai = json!({"lng": 121.47, "lat": 31.23, "crs": "wgs84", "source": "device"});
    let (wild, sighting) = flags(1, &with(report(1), "/position", shanghai), None).await;
    assert!(wild.contains("位置离湖岸较远"), "{wild}");
    assert_eq!(sighting["position"]["given_lng"], 121.47);
    let none = with(with(report(2), "/position", Value::Null), "/no_position", json!("室内补录"));
    let (none, sighting) = flags(2, &none, None).await;
    assert!(none.contains("无定位") && sighting["no_position"] == "室内补录", "{none}");
    let vague = with(report(3), "/position/accuracy_m", json!(300));
    assert!(flags(3, &vague, None).await.0.contains("定位精度差"));

    // 29 days ahead: taken off, kept, said. 29 days behind is known only by the clock at sending.
    let clock = |hours: i64| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
    let ahead = with(report(4), "/observed_at", json!(clock(29 * 24 - 1)));
    let (ahead, sighting) = flags(4, &with(ahead, "/device_at", json!(clock(29 * 24))), None).await;
    assert!(ahead.contains("手机时钟偏快"), "{ahead}");
    let seen: Timestamp = sighting["observed_at"].as_str().unwrap().parse().unwrap();
    let hour = SignedDuration::from_mins(60);
    assert!((Timestamp::now().duration_since(seen) - hour).abs() < SignedDuration::from_mins(2), "{seen}");
    let behind = with(report(5), "/observed_at", json!(clock(-29 * 24 - 1)));
    let (behind, sighting) = flags(5, &behind, Some(clock(-29 * 24))).await;
    assert!(behind.contains("手机时钟偏慢 29 天") || behind.contains("手机时钟偏慢 28 天"), "{behind}");
    assert!(sighting["clock_offset_s"].as_i64().unwrap() < 0);
    for hours in [31 * 24, -31 * 24] {
        let (body, clock) = (report(6).to_string(), clock(hours));
        let headers = [("device-time", clock.as_str())];
        let answer = bench.service.send("POST", "/api/v1/reports", &headers, body.as_bytes()).await;
        answer.problem(422, "device_at");
    }
    assert_eq!(bench.service.log_size().await, bench.size + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_that_are_none() {
    let bench = Bench::new().await;
    let good = jpeg(1);
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#.to_vec();
    let zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a".to_vec();
    let polyglot = [good.clone(), b"<html><script>alert(1)</script></html>".to_vec()].concat();
    let bomb = {
        let mut png = std::fs::read("tests/fixtures/photo/animated.png").unwrap();
        png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        png
    };
    let animated = std::fs::read("tests/fixtures/photo/animated.webp").unwrap();
    let avif = std::fs::read("tests/fixtures/photo/tiny.avif").unwrap();
    let huge = vec![0xff; usize::try_from(MAX_PHOTO_BYTES).unwrap() + 20_000_000];
    let cases: [(&str, Vec<u8>, u16, &str); 11] = [
        ("SVG", svg, 415, "image/jpeg"),
        ("GIF", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), 415, "image/jpeg"),
        ("text", b"hello".to_vec(), 415, "image/jpeg"),
        ("ZIP", zip, 415, "image/jpeg"),
        ("AVIF", avif, 415, "image/jpeg"),
        ("empty", vec![], 415, "image/jpeg"),
        ("animated", animated, 415, ""),
        ("polyglot", polyglot, 422, "a picture and a script at once"),
        ("cut", good[..good.len() - 40].to_vec(), 422, ""),
        ("PNG bomb", bomb, 413, "allowed: at most"),
        ("too large", huge, 413, "allowed: 2000000"),
    ];
    for (name, bytes, status, words) in cases {
        let answer = bench.service.put_photo(&bytes).await;
        let problem = answer.problem(status, "photo");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{name}: {problem}");
        assert_eq!(bench.service.log_size().await, bench.size, "{name}");
        assert_eq!(files_under(bench.dir.path()), Vec::<std::path::PathBuf>::new(), "{name}");
    }
    let put = async |address: &str, headers: &[(&str, &str)]| {
        bench.service.send("PUT", &format!("/api/v1/photos/{address}"), headers, &good).await
    };
    let other = put(&sha256_of(b"other"), &[]).await.problem(422, "sha256");
    assert!(other["detail"].as_str().unwrap().contains(&sha256_of(&good)), "{other}");
    for address in
        ["..%2f..%2fetc%2fpasswd", "%2e%2e", "A".repeat(64).as_str(), "abc", &sha256_of(&good).to_uppercase()]
    {
        put(address, &[]).await.problem(422, "sha256");
    }
    put(&sha256_of(&good), &[("content-encoding", "gzip")]).await.problem(415, "Content-Encoding");
    assert_eq!(put("../../../etc/passwd", &[]).await.status, 404);
    assert_eq!(bench.service.log_size().await, bench.size);
    assert_eq!(files_under(bench.dir.path()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn observations_and_patrols_that_cannot_be() {
    let bench = Bench::new().await;
    let one = json!({"station": "JJH-S1", "property": "do", "unit": "mg/L", "observed_at": from_now(-1), "value": 6.5});
    let base = json!({"id": id(1), "observations": [one]});
    let set = |key: &str, to: Value| json!([with(base["observations"][0].clone(), &format!("/{key}"), to)]);
    let cases: Vec<Case> = vec![
        ("/observations", set("property", json!("gold")), 422, "observations[0].property", "nh3n"),
        ("/observations", set("unit", json!("kg")), 422, "observations[0].unit", "mg/L"),
        ("/observations", set("value", json!("NaN")), 422, "observations[0].value", "a number"),
        ("/observations", set("value", json!(["6"])), 422, "observations[0].value", "a number"),
        ("/observations", set("value", Value::Null), 422, "observations[0].value", "missing"),
        ("/observations", set("observed_at", from_now(1)), 422, "observations[0].observed_at", "future"),
        (
            "/observations",
            set("observed_at", json!("1999-01-01T00:00:00Z")),
            422,
            "observations[0].observed_at",
            "2000",
        ),
        ("/observations", set("station", json!("a/../b")), 422, "observations[0].station", "letters"),
        ("/observations", set("depth", json!(1)), 422, "observations[0].depth", "unknown"),
        ("/observations", json!([]), 422, "observations", "1 to 10000"),
        ("/id", json!("00000000-0000-0000-0000-000000000000"), 422, "id", "random UUID"),
    ];
    bench.refuse("/api/v1/observations", &base, &cases).await;

    let base = json!({"id": id(2), "person": {"id": "p-7"}, "started_at": from_now(-2), "ended_at": from_now(-1),
        "sectors": ["JJH-AD-01"]});
    let point = |position: Value| json!([{"at": from_now(-1), "position": position}]);
    let at = |source: &str| json!({"lng": 113.2, "lat": 29.4, "crs": "wgs84", "source": source});
    let outside = "outside the neighbourhood";
    let cases: Vec<Case> = vec![
        ("/sectors", json!(["JJH-AD-01", "JJH-AD-99"]), 422, "sectors[1]", "JJH-AD-06"),
        ("/sectors", json!([]), 422, "sectors", "walked"),
        ("/ended_at", from_now(-3), 422, "ended_at", "after `started_at`"),
        ("/ended_at", from_now(1), 422, "ended_at", "server's time"),
        ("/started_at", from_now(-30), 422, "ended_at", "24 hours"),
        (
            "/track",
            point(json!({"lng": 181, "lat": 29.4, "crs": "wgs84"})),
            422,
            "track[0].position.lng",
            "180",
        ),
        (
            "/track",
            point(json!({"lng": 113.1, "lat": 29.4, "crs": "wgs84", "accuracy_m": -1})),
            422,
            "track[0].position.accuracy_m",
            "from 0",
        ),
        ("/waypoints", point(at("typed")), 422, "waypoints[0].position.lat", outside),
        ("/track", point(at("map")), 422, "track[0].position.lat", outside),
        ("/id", json!("00000000-0000-0000-0000-000000000000"), 422, "id", "random UUID"),
        ("/sector", json!("JJH-AD-01"), 422, "sector", "sectors"),
    ];
    bench.refuse("/api/v1/patrols", &base, &cases).await;
    // What the device itself said is kept, however far it lies.
    let walked = with(base, "/track", point(at("device")));
    bench.service.post("/api/v1/patrols", &walked).await.created();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let bench = Bench::new().await;
    for target in [format!("/api/v1/reports/{}", id(9)), "/api/v1/reports/9".into(), "/api/v1/nothing".into()]
    {
        bench.service.get(&target).await.problem(404, "");
    }
    bench.service.get(&format!("/api/v1/photos/{}", "ab".repeat(32))).await.problem(404, "");
    bench.service.get("/api/v1/photos/..%2f..%2fjijia.db").await.problem(404, "");
    bench.service.get("/api/docs/nothing.js").await.problem(404, "");
    let deleted = bench.service.send("DELETE", &format!("/api/v1/reports/{}", id(9)), &[], b"").await;
    assert_eq!(deleted.problem(405, "")["code"], "method_not_allowed");
    assert_eq!(deleted.header("allow"), Some("GET,HEAD"));
    bench.service.get("/api/v1/photos/%ff").await.problem(400, "address");
    bench.service.get("/api/v1/timeline?outfall=%ff").await.problem(422, "outfall");
}
