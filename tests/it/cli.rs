//! The commands, run as the shell runs them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The program with a clean environment, in the folder of the sources.
pub fn jijia(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jijia"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("JIJIA_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    ended(jijia(args).output().unwrap())
}

fn ended(out: Output) -> (i32, String, String) {
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn config_check(config: &str, env: &[(&str, &str)]) -> (i32, String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut command = jijia(&["--config", file.path().to_str().unwrap(), "config", "check"]);
    ended(command.envs(env.iter().copied()).output().unwrap())
}

const PLACE: [&str; 5] =
    ["place.toml", "lake.geojson", "sectors.geojson", "outfalls.geojson", "stations.geojson"];

/// A copy of the shipped place with one change of one file; the change must have happened.
fn place_with(file: &str, change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in PLACE {
        let text = std::fs::read_to_string(Path::new("config/jijia").join(name)).unwrap();
        let changed = if name == file { change(&text) } else { text.clone() };
        assert_eq!(name == file, changed != text, "{file}");
        std::fs::write(dir.path().join(name), changed).unwrap();
    }
    dir
}

fn ring_of(file: &mut Value, feature: usize) -> &mut Vec<Value> {
    file["features"][feature]["geometry"]["coordinates"][0].as_array_mut().unwrap()
}

/// Changes the GeoJSON of a file.
fn geojson(change: impl Fn(&mut Value)) -> impl Fn(&str) -> String {
    move |text| {
        let mut file = serde_json::from_str(text).unwrap();
        change(&mut file);
        file.to_string()
    }
}

/// File, change, feature and words of the problem.
type Fault = (&'static str, Box<dyn Fn(&str) -> String>, &'static str, &'static str);

#[test]
fn the_shipped_place_is_good_and_every_fault_is_named_with_file_feature_and_remedy() {
    let (code, said, _) = run(&["config", "check", "config/jijia"]);
    assert_eq!((code, said.as_str()), (0, "configuration and place: good\n"));
    let text = |from: &'static str, to: &'static str| move |t: &str| t.replacen(from, to, 1);
    let far = |f: &mut Value| f["features"][0]["geometry"]["coordinates"] = json!([113.15, 29.4]);
    let swapped = |f: &mut Value| f["features"][0]["geometry"]["coordinates"] = json!([29.395396, 113.11281]);
    let metres = |f: &mut Value| f["features"][0]["geometry"]["coordinates"] = json!([511000.0, 3253000.0]);
    let open = |f: &mut Value| drop(ring_of(f, 0).pop());
    let crossed = |f: &mut Value| ring_of(f, 0).swap(10, 40);
    let away = |f: &mut Value| {
        let square = json!([[113.13, 29.395], [113.132, 29.395], [113.132, 29.397], [113.13, 29.395]]);
        f["features"][0]["geometry"]["coordinates"] = json!([square]);
    };
    let over = |f: &mut Value| {
        let second = f["features"][1]["geometry"].clone();
        f["features"][0]["geometry"] = second;
    };
    let cases: [Fault; 12] = [
        ("lake.geojson", Box::new(geojson(crossed)), "feature 1", "crosses itself near"),
        ("lake.geojson", Box::new(geojson(open)), "feature 1", "repeat its first point"),
        ("sectors.geojson", Box::new(geojson(over)), "JJH-AD-01", "overlaps JJH-AD-02"),
        ("sectors.geojson", Box::new(geojson(away)), "JJH-AD-01", "does not touch the shore"),
        ("outfalls.geojson", Box::new(geojson(far)), "JJH-PK-0001", "100 m are allowed"),
        ("outfalls.geojson", Box::new(geojson(swapped)), "JJH-PK-0001", "swapped"),
        ("outfalls.geojson", Box::new(geojson(metres)), "JJH-PK-0001", "degrees"),
        (
            "outfalls.geojson",
            Box::new(text(r#""unit": "SX""#, r#""unit": "SXX""#)),
            "JJH-PK-0003",
            "did you mean `SX`?",
        ),
        ("outfalls.geojson", Box::new(text("JJH-PK-0002", "JJH-PK-0001")), "JJH-PK-0001", "used twice"),
        (
            "place.toml",
            Box::new(text("match_m = 30", "match_m = 30\nmach_m = 3")),
            "",
            "did you mean `match_m`?",
        ),
        ("place.toml", Box::new(text(r#"crs = "wgs84""#, r#"crs = "utm49""#)), "", "gcj02"),
        (
            "stations.geojson",
            Box::new(text(r#""property": "ph""#, r#""property": "pH""#)),
            "JJH-S1",
            "did you mean `ph`?",
        ),
    ];
    for (file, change, feature, words) in cases {
        let dir = place_with(file, change);
        let (code, said, _) = run(&["config", "check", dir.path().to_str().unwrap()]);
        let start = if feature.is_empty() { format!("{file}: ") } else { format!("{file}, {feature}: ") };
        let named = said.lines().any(|l| l.starts_with(&start) && l.contains(words));
        assert!(named, "{file}, {words}: {said}");
        assert!(said.ends_with("problem(s); nothing was changed\n"), "{said}");
        assert_eq!(code, 1, "{said}");
        // A service does not start on it either.
        let data = tempfile::tempdir().unwrap();
        let mut serve = jijia(&["--data", data.path().to_str().unwrap(), "serve"]);
        let (code, _, said) = ended(serve.env("JIJIA_PLACE_DIR", dir.path()).output().unwrap());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn environment_over_file_over_default_and_unknown_keys_are_named() {
    assert_eq!(config_check("", &[]).0, 0);
    let outside = "[server]\nlisten = \"0.0.0.0:8080\"\n";
    let (code, _, said) = config_check(outside, &[]);
    assert_ne!(code, 0);
    assert!(said.contains("server.listen: 0.0.0.0:8080") && said.contains("without HTTPS"), "{said}");
    assert_eq!(config_check(outside, &[("JIJIA_SERVER_LISTEN", "[::1]:0")]).0, 0);
    let (_, _, said) = config_check("", &[("JIJIA_SERVER_LISTEN", "192.168.1.4:80")]);
    assert!(said.contains("192.168.1.4:80"), "{said}");
    for (file, env, words) in [
        ("[server]\nlissten = \"127.0.0.1:1\"\n", None, "did you mean `server.listen`?"),
        ("[evidense]\n", None, "did you mean `evidence`?"),
        ("", Some(("JIJIA_EVIDENCE_DRY_LIMIT", "2")), "did you mean `JIJIA_EVIDENCE_DRY_LIMIT_MM`?"),
        ("", Some(("JIJIA_EVIDENCE_LATE_S", "soon")), "not a whole number"),
        ("[evidence]\ndry_limit_mm = -1.0\n", None, "evidence.dry_limit_mm"),
        ("[server]\nlisten = 8080\n", None, "server.listen"),
        ("[server\n", None, "line 1"),
    ] {
        let env: Vec<_> = env.into_iter().collect();
        let (code, _, said) = config_check(file, &env);
        assert_ne!(code, 0, "{file}");
        assert!(said.contains(words), "{words}: {said}");
    }
    let (code, shown, _) = run(&["config", "show"]);
    assert_eq!((code, shown.as_str()), (0, include_str!("../../config/default.toml")));
}

#[test]
fn the_check_covers_broker_and_mirror_and_their_secrets() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hush-hush\n").unwrap();
    let token_file = format!("token_file = \"{}\"\n", secret.path().display());
    let influx = "[influx]\nurl = \"http://127.0.0.1:8086\"\norg = \"o\"\nbucket = \"b\"\n";
    let (code, said, _) = config_check(&format!("{influx}{token_file}"), &[]);
    assert_eq!(code, 0, "{said}");
    for (file, words) in [
        (influx.to_owned(), "influx.token: must be printable"),
        (format!("{influx}{token_file}").replace("http:", "https:"), "influx.url"),
        (format!("{influx}{token_file}").replace("\"o\"", "\"\""), "influx.org"),
        (format!("{influx}token = \"a\"\n{token_file}"), "allowed: one of the two"),
        (format!("{influx}token_file = \"/none\"\n"), "influx.token_file: /none"),
        ("[mqtt]\nhost = \"127.0.0.1\"\nclient_id = \"\"\n".into(), "mqtt.client_id"),
        ("[mqtt]\nhost = \"127.0.0.1\"\ntls = true\nca_file = \"/none\"\n".into(), "mqtt.ca_file"),
        (
            "[tls]\nmode = \"acme\"\nnames = [\"a.example\"]\nacme_ca_file = \"/none\"\n".into(),
            "tls.acme_ca_file: /none",
        ),
        ("[tls]\nmode = \"files\"\ncertificate_file = \"/none\"\nkey_file = \"/none\"\n".into(), "tls./none"),
        (
            "[mqtt]\nhost = \"h\"\n[[mqtt.source]]\nname = \"a\"\ntopic_template = \"a/{device}\"\n\
             device = \"topic:device\"\nkeys = { x = \"gold\" }\n"
                .into(),
            "gold",
        ),
    ] {
        let (code, said, error) = config_check(&file, &[]);
        assert_ne!(code, 0, "{file}");
        assert!(said.contains(words) || error.contains(words), "{words}: {said}{error}");
        assert!(!said.contains("hush") && !error.contains("hush"), "a secret is never printed");
    }
}

/// Answers of `calc` to these lines.
pub fn calc(name: &str, lines: &[Value]) -> (i32, Vec<Value>) {
    let mut child = jijia(&["calc", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    let (code, said, _) = ended(child.wait_with_output().unwrap());
    (code, said.lines().map(|l| serde_json::from_str(l).unwrap()).collect())
}

fn vectors(file: &str) -> Vec<csv::StringRecord> {
    let path = Path::new("tests/fixtures/domain").join(file);
    csv::Reader::from_path(path).unwrap().into_records().map(Result::unwrap).collect()
}

#[test]
fn calc_crs_repeats_the_vectors() {
    // id, source, input_crs, then longitude and latitude in WGS-84, GCJ-02, BD-09, and the tolerance.
    let columns = [("wgs84", 3), ("gcj02", 5), ("bd09", 7)];
    let (mut questions, mut expected) = (Vec::new(), Vec::new());
    for row in vectors("gcj02_vectors.csv").iter().filter(|r| &r[0] != "readme_bd2gcj") {
        let known: Vec<_> = columns.iter().filter(|(_, at)| !row[*at].is_empty()).collect();
        for (from, a) in &known {
            for (to, b) in &known {
                questions.push(json!({"lng": &row[*a], "lat": &row[a + 1], "from": from, "to": to}));
                let number = |i: usize| row[i].parse::<f64>().unwrap();
                expected.push((number(*b), number(b + 1), number(9)));
            }
        }
    }
    assert!(questions.len() > 50);
    let (code, answers) = calc("crs", &questions);
    assert_eq!((code, answers.len()), (0, questions.len()));
    for ((question, answer), (lng, lat, tolerance)) in questions.iter().zip(&answers).zip(expected) {
        let off = |key: &str, truth: f64| (answer[key].as_f64().unwrap() - truth).abs();
        assert!(off("lng", lng).max(off("lat", lat)) <= tolerance + 1e-9, "{question}: {answer}");
    }
}

#[test]
fn calc_dry_repeats_the_vectors() {
    let rules = [(3, 72.0, 2.5), (4, 48.0, 2.5), (5, 24.0, 2.54)];
    for row in vectors("dry_weather_vectors.csv") {
        let rain: Vec<Value> = row[1]
            .split(';')
            .filter(|r| !r.is_empty())
            .map(|r| r.split_once(':').unwrap())
            .map(|(hours, mm)| json!({"hours_before": hours, "mm": mm}))
            .collect();
        let ask = |(_, window, limit): &(usize, f64, f64)| json!({"rain": rain, "coverage": &row[2], "window_h": window, "limit_mm": limit});
        let (code, answers) = calc("dry", &rules.iter().map(ask).collect::<Vec<_>>());
        assert_eq!(code, 0);
        for ((column, ..), answer) in rules.iter().zip(answers) {
            assert_eq!(answer["weather"], row[*column], "{}, column {column}", &row[0]);
        }
    }
}

#[test]
fn calc_proof_repeats_the_vectors() {
    let text = std::fs::read_to_string("tests/fixtures/domain/merkle_proofs.json").unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let (code, answers) = calc("proof", vectors);
    assert_eq!((code, answers.len()), (0, vectors.len()));
    for (vector, answer) in vectors.iter().zip(&answers) {
        let refused = vector["wantErr"].as_bool().unwrap();
        let name = format!("{} {}: {}", vector["kind"], vector["name"], vector["desc"]);
        assert_eq!(answer["ok"], !refused, "{name}: {answer}");
        assert_eq!(answer["reason"].is_string(), refused, "{name}: {answer}");
    }
    let (code, answers) = calc("proof", &[json!({"kind": "membership"}), vectors[0].clone()]);
    assert_eq!((code, &answers[0]["error"]["field"], &answers[1]["ok"]), (1, &json!("kind"), &json!(true)));
}

#[test]
fn calc_geotag_finds_every_shipped_outfall_and_names_bad_lines() {
    let text = std::fs::read_to_string("config/jijia/outfalls.geojson").unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let outfalls = file["features"].as_array().unwrap();
    let at = |f: &Value| {
        let [lng, lat] = [0, 1].map(|i| f["geometry"]["coordinates"][i].clone());
        json!({"lng": lng, "lat": lat, "crs": "wgs84", "accuracy_m": 3})
    };
    let mut questions: Vec<Value> = outfalls.iter().map(at).collect();
    let (code, answers) = calc("geotag", &questions);
    assert_eq!(code, 0);
    for (outfall, answer) in outfalls.iter().zip(&answers) {
        assert_eq!(answer["outfalls"][0]["code"], outfall["properties"]["code"]);
        assert_eq!(answer["match"], "one");
        assert!(answer["sector"].is_string() && answer["shore_m"].as_f64().unwrap() < 50.0, "{answer}");
    }
    questions.insert(1, json!({"lng": 113.1, "lat": 29.4}));
    let (code, answers) = calc("geotag", &questions);
    assert_eq!((code, answers.len()), (1, outfalls.len() + 1));
    assert_eq!(answers[1]["error"]["field"], "crs");
    assert_eq!(answers[2]["outfalls"][0]["code"], "JJH-PK-0002", "the lines after it are still judged");
}

const REPORTS: &str = "编号,发现时间,问题类型,经度,纬度,坐标系,精度,描述,是否有水流,颜色程度\n\
    1,2025-07-14 05:20,旱天排水,113.114079,29.39928,WGS84,8,=出水浑浊,中,2\n\
    2,2025-07-14 06:20,无异常,,,,,,,\n\
    3,2025-07-14 07:20,水葫芦,29.39928,113.114079,WGS84,8,,,\n\
    4,2025-07-14 08:20,污水,113.2,29.5,WGS84,8,,,\n\
    5,2025-07-14 09:20,污水,113.114079,29.39928,WGS84,8,,小,5\n";
const PATCH: &str = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
    "geometry":{"type":"Polygon","coordinates":[[[113.110,29.400],[113.111,29.400],[113.111,29.401],[113.110,29.400]]]},
    "properties":{"时间":"2025-07-14T05:20:00+08:00","类型":"水葫芦","盖度":"85%"}}]}"#;

#[test]
fn headings_of_an_office_are_read_by_a_map_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> String {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let data = dir.path().join("data");
    let own = file("own.csv", "何时,何事,东,北,备注\n2025-07-14 06:20,污水,113.114079,29.39928,不取\n");
    let import = |name: &str, text: &str| {
        let map = file(name, text);
        let base = ["--data", data.to_str().unwrap(), "import", "reports", &own, "--zone", "+08:00"];
        run(&[&base[..], &["--dry-run", "--map", &map]].concat())
    };
    let good = "crs = \"wgs84\"\nignore = [\"备注\"]\n[column]\n\"何时\" = \"observed_at\"\n\"何事\" = \"kind\"\n\
                \"东\" = \"lng\"\n\"北\" = \"lat\"\n";
    let (code, said, _) = import("good.toml", good);
    assert!(code == 0 && said.contains("未采用的列：备注") && said.contains("113.114079"), "{said}");
    let (code, _, said) = import("bad.toml", "[column]\n\"何时\" = \"wann\"\n");
    assert!(
        code == 2 && said.contains("column.何时: `wann`; allowed: ") && said.contains("observed_at"),
        "{said}"
    );
    for (text, field) in [("crs = \"moon\"\n", "wrong.toml: crs"), ("zone = \"noon\"\n", "wrong.toml: zone")]
    {
        let (code, _, said) = import("wrong.toml", text);
        assert!(code == 2 && said.contains(field), "{said}");
    }
    let (code, _, said) = import("unknown.toml", "colum = 1\n");
    assert!(code == 2 && said.contains("unknown.toml") && said.contains("colum"), "{said}");
}

#[test]
fn reports_are_imported_once_and_the_timeline_goes_into_every_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let csv = file("reports.csv", REPORTS.as_bytes());
    let import = |path: &Path, more: &[&str]| {
        let base = ["--data", data, "import", "reports", path.to_str().unwrap(), "--zone", "+08:00"];
        run(&[&base[..], more].concat())
    };
    let (code, said, _) = import(&csv, &["--dry-run"]);
    assert!(code == 1 && said.contains("可导入 2 行，有误 3 行；未写入"), "{said}");
    assert!(said.contains("第 2 行：{\"id\":") && said.contains("\"kind\":\"sewage_outflow\""), "{said}");
    for round in ["新增 2，已有 0，有误 3", "新增 0，已有 2，有误 3"] {
        let (code, said, _) = import(&csv, &[]);
        assert!(code == 1 && said.contains(round), "{said}");
        for row in ["第 4 行「纬度」", "第 5 行「纬度」", "第 6 行「颜色程度」"] {
            assert!(said.contains(row), "{row}: {said}");
        }
    }
    let patch = file("patch.geojson", PATCH.as_bytes());
    for round in ["新增 1，已有 0，有误 0", "新增 0，已有 1，有误 0"] {
        let (code, said, _) = import(&patch, &["--crs", "wgs84"]);
        assert!(code == 0 && said.contains(round), "{said}");
    }
    let (code, _, said) = import(&dir.path().join("none.csv"), &[]);
    assert!(code == 2 && said.contains("none.csv"), "{said}");

    for (ending, begins) in [
        ("docx", &b"PK"[..]),
        ("pdf", b"%PDF-"),
        ("xlsx", b"PK"),
        ("csv", b"\xEF\xBB\xBF"),
        ("geojson", b"{"),
    ] {
        let path = dir.path().join(format!("timeline.{ending}"));
        let out = path.to_str().unwrap();
        let (code, said, error) =
            run(&["--data", data, "timeline", "--outfall", "JJH-PK-0003", "--from", "2025-07-01", "-o", out]);
        assert_eq!(code, 0, "{error}");
        assert!(said.contains("entry ") && said.contains(ending), "{said}");
        assert!(std::fs::read(&path).unwrap().starts_with(begins), "{ending}");
    }
    let ledger = std::fs::read_to_string(dir.path().join("timeline.csv")).unwrap();
    assert!(ledger.contains("=出水浑浊") && !ledger.contains(",=出水浑浊"), "{ledger}");
    for (args, words) in [
        (["--outfall", "X", "-o", "/tmp/x.csv"], "JJH-PK-0003"),
        (["--kind", "fire", "-o", "/tmp/x.csv"], "nothing_found"),
        (["--from", "2025-07-01", "-o", "/tmp/x.exe"], ".docx .pdf .xlsx .csv .geojson"),
    ] {
        let (code, _, said) = run(&[&["--data", data, "timeline"][..], &args].concat());
        assert!(code == 2 && said.contains(words), "{said}");
    }
}
