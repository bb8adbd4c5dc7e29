//! The configuration: typed sections, strict. Defaults stand in `config/default.toml`, embedded, and nowhere else.
//! Precedence: flag, environment `JIJIA_SECTION_KEY`, file, default. An unknown key is an error with a near match.

mod env;
mod log;
mod peers;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use crate::error::{Error, Result};
pub use log::{Log, LogFormat, Witness};
pub use peers::{Influx, Mqtt, MqttSource, Secret};
pub use server::{People, Server, Tls, TlsMode};

/// The complete, commented defaults.
pub const DEFAULT: &str = include_str!("../config/default.toml");

/// Environment names that are not configuration keys: flags have them (`--config`, `--data`).
const ENV_FLAGS: [&str; 3] = ["JIJIA_CONFIG", "JIJIA_DATA", "JIJIA_LOG"];

/// Everything. Only `main` sees it; each part receives its own section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where things are kept.
    pub data: Data,
    /// The place.
    pub place: PlaceFiles,
    /// HTTP.
    pub server: Server,
    /// HTTPS.
    pub tls: Tls,
    /// Signing in.
    pub people: People,
    /// Limits of photos.
    pub photos: Photos,
    /// How evidence is judged.
    pub evidence: Evidence,
    /// What makes a patrol thin.
    pub duty: Duty,
    /// Word and PDF.
    pub documents: Documents,
    /// Readings by MQTT.
    pub mqtt: Mqtt,
    /// The mirror.
    pub influx: Influx,
    /// The evidence log, and the log of the process.
    pub log: Log,
}

/// `[data]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The one directory of everything that cannot be made again.
    pub dir: PathBuf,
    /// Below this much free space `/readyz` says so, bytes.
    pub low_space_bytes: u64,
}

/// `[place]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceFiles {
    /// Folder of the place's files; empty: the illustrative place inside the program.
    pub dir: PathBuf,
}

/// `[photos]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Photos {
    /// Largest original, bytes.
    pub max_bytes: u64,
    /// A photo of which no byte has come for so long is given up.
    #[serde(with = "seconds")]
    pub idle_timeout_s: Duration,
    /// Most pixels.
    pub max_pixels: u64,
    /// Longest side, pixels.
    pub max_side: u32,
}

/// `[evidence]`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Hours without rain that make a sighting dry-weather.
    pub dry_window_h: f64,
    /// Rain in that window that makes it wet, mm.
    pub dry_limit_mm: f64,
    /// Rapid test of ammonia nitrogen that counts as a sign of sewage, mg/L.
    pub nh3n_limit_mg_l: f64,
    /// Station whose rain decides.
    pub rain_station: String,
    /// Stations within this distance of a sighting are shown with it, metres.
    pub nearby_m: f64,
    /// Received later than this after it was seen, it is marked as late, seconds.
    pub late_s: i64,
}

/// `[duty]`: below or above these the supervisor is asked to look at a patrol.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Duty {
    /// Fewest minutes for each sector that a patrol names.
    pub short_min: f64,
    /// Fastest pace along the track, kilometres an hour.
    pub fast_km_h: f64,
    /// Smallest share of a sector's waypoints, 0 to 1.
    pub few_share: f64,
    /// Points of a track farther apart than this have a gap between them, minutes.
    pub gap_min: f64,
}

/// `[documents]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    /// Folder with the office's own fonts (仿宋); empty: the embedded ones.
    pub fonts_dir: PathBuf,
    /// Most rows of one document.
    pub max_rows: u32,
    /// Days for which a bundle can be fetched.
    pub keep_bundles_days: u16,
}

/// Reads file and environment over the defaults.
///
/// # Errors
/// `Invalid` naming file, line and key, and what is allowed.
pub fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Config> {
    let mut merged: Table = DEFAULT.parse().map_err(|e: toml::de::Error| Error::Internal(e.to_string()))?;
    let defaults = merged.clone();
    if let Some(path) = file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Error::invalid(&name, e.to_string()))?;
        let spans = DeTable::parse(&text).map_err(|e| Error::invalid(&name, e.to_string()))?;
        check_keys(spans.get_ref(), &defaults, "", &|at| line_of(&text, at)).map_err(|e| e.under(&name))?;
        let table: Table = text.parse().map_err(|e: toml::de::Error| Error::invalid(&name, e.to_string()))?;
        overlay(&mut merged, table);
    }
    for (key, text) in env {
        if key.starts_with("JIJIA_") && !ENV_FLAGS.contains(&key.as_str()) {
            env::overlay(&mut merged, &defaults, &key, &text)?;
        }
    }
    let mut config: Config = serde_path_to_error::deserialize(Value::Table(merged))
        .map_err(|e| Error::invalid(e.path().to_string(), e.into_inner().message().to_owned()))?;
    read_secret("mqtt.password_file", &config.mqtt.password_file, &mut config.mqtt.password)?;
    let people = &mut config.people;
    read_secret("people.admin_password_file", &people.admin_password_file, &mut people.admin_password)?;
    read_secret("people.token_file", &people.token_file, &mut people.token)?;
    read_secret("influx.token_file", &config.influx.token_file, &mut config.influx.token)?;
    check(&config)?;
    Ok(config)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn check_keys(
    found: &DeTable<'_>,
    known: &Table,
    prefix: &str,
    line: &impl Fn(usize) -> usize,
) -> Result<()> {
    for (key, value) in found {
        let name = key.get_ref();
        match (known.get(name.as_ref()), value.get_ref()) {
            (Some(Value::Table(below)), toml::de::DeValue::Table(inner)) => {
                check_keys(inner, below, &format!("{prefix}{name}."), line)?;
            }
            (Some(_), _) => {}
            (None, _) => {
                let near = nearest(name, known.keys().map(String::as_str));
                return Err(Error::invalid(
                    format!("line {}", line(key.span().start)),
                    format!("unknown key `{prefix}{name}`; did you mean `{prefix}{near}`?"),
                ));
            }
        }
    }
    Ok(())
}

/// The known word most like `word`.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known
        .min_by_key(|k| strsim::damerau_levenshtein(&word.to_lowercase(), &k.to_lowercase()))
        .unwrap_or_default()
}

fn overlay(onto: &mut Table, from: Table) {
    for (key, value) in from {
        match (onto.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(inner)) => overlay(below, inner),
            (_, value) => {
                onto.insert(key, value);
            }
        }
    }
}

fn read_secret(key: &str, file: &Path, secret: &mut Secret) -> Result<()> {
    if file.as_os_str().is_empty() {
        return Ok(());
    }
    if !secret.is_empty() {
        return Err(Error::invalid(key, "is given beside the secret itself; allowed: one of the two"));
    }
    let text =
        std::fs::read_to_string(file).map_err(|e| Error::invalid(key, format!("{}: {e}", file.display())))?;
    *secret = text.trim_end_matches(['\r', '\n']).to_owned().into();
    Ok(())
}

fn check(c: &Config) -> Result<()> {
    server::check(c)?;
    let positive = [
        ("people.session_idle_h", c.people.session_idle_h),
        ("people.session_max_h", c.people.session_max_h),
        ("evidence.dry_window_h", c.evidence.dry_window_h),
        ("evidence.dry_limit_mm", c.evidence.dry_limit_mm),
        ("evidence.nh3n_limit_mg_l", c.evidence.nh3n_limit_mg_l),
        ("evidence.nearby_m", c.evidence.nearby_m),
        ("duty.short_min", c.duty.short_min),
        ("duty.fast_km_h", c.duty.fast_km_h),
        ("duty.gap_min", c.duty.gap_min),
    ];
    for (key, value) in positive {
        if !value.is_finite() || value <= 0.0 {
            return Err(Error::invalid(key, format!("{value} is not allowed; a number above 0 is")));
        }
    }
    if !(0.0..=1.0).contains(&c.duty.few_share) {
        return Err(Error::invalid("duty.few_share", "a share from 0 to 1 is allowed"));
    }
    if c.evidence.dry_window_h > 240.0 {
        return Err(Error::invalid("evidence.dry_window_h", "at most 240 hours"));
    }
    Ok(())
}

mod seconds {
    use serde::{Deserialize, Deserializer};
    use std::time::Duration;
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        let s = f64::deserialize(d)?;
        Duration::try_from_secs_f64(s).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Config> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(Some(file.path()), [])
    }

    #[test]
    fn the_defaults_are_complete() {
        let c = load(None, []).unwrap();
        assert!(c.mqtt.host.is_empty());
        assert!(c.server.listen.ip().is_loopback());
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_nearest_right_key() {
        let said =
            with_file("[server]\nlisten = \"127.0.0.1:1\"\nmax_body_byte = 3\n").unwrap_err().to_string();
        assert!(said.contains("line 3") && said.contains("did you mean `server.max_body_bytes`"), "{said}");
        let said = with_file("[sever]\n").unwrap_err().to_string();
        assert!(said.contains("did you mean `server`"), "{said}");
        let said = load(None, [("JIJIA_MQTT_HOTS".to_owned(), "x".to_owned())]).unwrap_err().to_string();
        assert!(said.contains("did you mean `JIJIA_MQTT_HOST`"), "{said}");
    }

    #[test]
    fn environment_over_file_over_default_and_secrets_by_file() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "hush\n").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\nlisten = \"127.0.0.1:1\"\n").unwrap();
        let env = [
            ("JIJIA_SERVER_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("JIJIA_MQTT_PASSWORD_FILE".to_owned(), secret.path().display().to_string()),
            ("OTHER".to_owned(), "x".to_owned()),
        ];
        let c = load(Some(file.path()), env).unwrap();
        assert_eq!(c.server.listen.port(), 2);
        assert_eq!(c.mqtt.password.reveal(), "hush");
        assert_eq!(format!("{:?}", c.mqtt.password), "***");
    }

    #[test]
    fn from_outside_only_through_a_proxy() {
        let said = with_file("[server]\nlisten = \"0.0.0.0:80\"\n").unwrap_err().to_string();
        assert!(said.contains("server.listen") && said.contains("127.0.0.1"), "{said}");
        with_file("[server]\nlisten = \"0.0.0.0:80\"\ntrusted_hops = 1\n").unwrap();
        for (file, key) in [
            ("[server]\npublic_url = \"jijia.example\"\n", "server.public_url"),
            ("[people]\nadmin_login = \"admin\"\n", "people.admin_password"),
            ("[people]\nsession_idle_h = 0.0\n", "people.session_idle_h"),
            ("[tls]\nmode = \"files\"\n", "tls.certificate_file"),
            ("[tls]\nmode = \"none\"\n", "tls.mode"),
            ("[tls]\nhttp_listen = \"0.0.0.0:80\"\n", "tls.http_listen"),
            ("[people]\ntoken = \"secret\"\n", "people.token"),
        ] {
            let said = with_file(file).unwrap_err().to_string();
            assert!(said.contains(key), "{said}");
        }
    }

    #[test]
    fn acme_asks_for_public_names_alone() {
        let acme = |rest: &str| with_file(&format!("[tls]\nmode = \"acme\"\n{rest}"));
        let said = |rest: &str| acme(rest).unwrap_err().to_string();
        let names = "names = [\"Xunhu.example.com\", \"吉家湖.cn\"]\n";
        let url = "[server]\npublic_url = \"https://www.example.com:8443/\"\n";
        let c = acme(&format!("{names}{url}")).unwrap();
        let asked = c.tls.acme_names(&c.server.public_url).unwrap();
        assert_eq!(asked, ["www.example.com", "xn--9pro2pyyq.cn", "xunhu.example.com"]);
        assert!(said("").starts_with("tls.names: "), "{}", said(""));
        for name in ["10.0.0.7", "::1", "*.example.com", "jijia", "jijia.lan", "a..cn", "a_b.cn", ""] {
            let said = said(&format!("names = [\"{name}\"]\n"));
            assert!(said.starts_with(&format!("tls.names: `{name}`; allowed")), "{said}");
        }
        // A private server may vouch for private names.
        acme("names = [\"jijia.lan\"]\nacme_ca_file = \"ca.pem\"\n").unwrap();
        let address = "[server]\npublic_url = \"https://10.0.0.7\"\n";
        assert!(said(address).starts_with("server.public_url: `10.0.0.7`"), "{}", said(address));
        for (key, value) in [
            ("acme_directory", "http://acme.example/directory"),
            ("acme_directory", "acme.example"),
            ("acme_contact", "duty"),
            ("acme_contact", "mailto:duty@example.com"),
            ("acme_contact", "a@b.cn,c@d.cn"),
        ] {
            let said = said(&format!("{names}{key} = \"{value}\"\n"));
            assert!(said.starts_with(&format!("tls.{key}: ")) && said.contains("allowed"), "{said}");
        }
    }
}
