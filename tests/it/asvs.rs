//! `tests/asvs.tsv`: what OWASP ASVS 5.0.0 asks at levels 1 and 2 for the web front end, signing in, sessions and rights
//! (V3, V6, V7, V8), row by row: met, by which tests; not met; or not applicable, and why. The words are ours, the
//! numbers the standard's (OWASP Application Security Verification Standard 5.0.0, CC BY-SA 4.0). Rows of level 3 are left
//! out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jijia::config::{self, Config};
use jijia::people::Rule;
use jijia::web::LINK_LIFETIME;

/// Sections with requirements of levels 1 and 2, each with the last of these; those of level 3 stand behind them.
const ASKED: [(&str, u32); 22] = [
    ("V3.2", 2),
    ("V3.3", 4),
    ("V3.4", 6),
    ("V3.5", 5),
    ("V3.7", 2),
    ("V6.1", 3),
    ("V6.2", 12),
    ("V6.3", 4),
    ("V6.4", 4),
    ("V6.5", 5),
    ("V6.6", 3),
    ("V6.8", 4),
    ("V7.1", 3),
    ("V7.2", 4),
    ("V7.3", 2),
    ("V7.4", 5),
    ("V7.5", 2),
    ("V7.6", 2),
    ("V8.1", 2),
    ("V8.2", 3),
    ("V8.3", 1),
    ("V8.4", 1),
];
const DOCUMENT: &str = include_str!("../../src/people/signing-in.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What is wrong with a row, beside its number.
fn faults([id, level, asks, state, tests, remark]: [&str; 6]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("{id}: {what}"));
    if !["1", "2"].contains(&level) || asks.is_empty() {
        fault(format!("level `{level}`, asks `{asks}`"));
    }
    match state {
        "met" if tests.is_empty() => fault("is met, and no test says so".into()),
        "met" => {}
        "not met" | "not applicable" if remark.is_empty() => fault("gives no reason".into()),
        "not met" | "not applicable" if !tests.is_empty() => fault("has tests of nothing".into()),
        "not met" | "not applicable" => {}
        other => fault(format!("`{other}`; allowed: met, not met, not applicable")),
    }
    for named in tests.split("; ").filter(|t| !t.is_empty()) {
        let (file, name) = named.split_once("::").unwrap_or((named, ""));
        if name.is_empty() || !root().join(file).is_file() || !has_test(file, name) {
            fault(format!("there is no test `{named}`"));
        }
    }
    faults
}

/// In a script the name is what the test says; in Rust it is a function that an attribute right above makes a test.
fn has_test(file: &str, name: &str) -> bool {
    let text = read(file);
    if file.ends_with(".js") {
        return text.contains(name);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let starts = ["fn", "async fn"].map(|word| format!("{word} {name}()"));
    lines.iter().enumerate().filter(|(_, line)| starts.iter().any(|s| line.starts_with(s))).any(|(at, _)| {
        let above = lines[..at].iter().rev().take_while(|l| l.starts_with("#["));
        above.into_iter().any(|l| l.contains("test"))
    })
}

#[test]
fn every_row_is_there_once_and_its_tests_or_its_reason_too() {
    let table = read("tests/asvs.tsv");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("id\tlevel\tasks for\tstate\ttests\tremark"));
    let rows: Vec<[&str; 6]> = lines
        .map(|line| {
            line.split('\t').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("6 cells: {line}"))
        })
        .collect();
    let asked: Vec<String> =
        ASKED.iter().flat_map(|(section, last)| (1..=*last).map(move |n| format!("{section}.{n}"))).collect();
    let ids: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(ids, asked, "each once, in the order of the standard");
    let of_chapter = |c: &str| ids.iter().filter(|id| id.starts_with(c)).count();
    assert_eq!(["V3.", "V6.", "V7.", "V8."].map(of_chapter), [19, 35, 18, 7]);
    let faults: Vec<String> = rows.iter().flat_map(|row| faults(*row)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // What the README says of it.
    let of_state = |state: &str| rows.iter().filter(|row| row[3] == state).count();
    let [met, not_met, elsewhere] = ["met", "not met", "not applicable"].map(of_state);
    println!("asvs: {met} met, {not_met} not met, {elsewhere} not applicable");
    let said =
        format!("of {} requirements {met} are met, {not_met} are not, {elsewhere} do not apply", rows.len());
    let readme = read("README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&said), "README: {said}");
}

#[test]
fn a_wrong_row_is_found() {
    let good = ["V3.2.1", "1", "asks", "met", "tests/it/asvs.rs::a_wrong_row_is_found", ""];
    assert_eq!(faults(good), Vec::<String>::new());
    for (cell, to) in [
        (1, "3"),
        (2, ""),
        (3, "partly"),
        (3, "not met"),
        (4, ""),
        (4, "tests/it/asvs.rs::a_test_that_is_not_there"),
        (4, "tests/it/asvs.rs::root"),
        (4, "tests/it/nowhere.rs::a_wrong_row_is_found"),
        (4, "tests/web/people.js::a title that nobody wrote"),
        (4, "tests/it/asvs.rs"),
    ] {
        let mut bad = good;
        bad[cell] = to;
        assert!(!faults(bad).is_empty(), "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_is_in_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let service = crate::people::start(dir.path()).await;
    // Whoever is nobody yet changes something only by these.
    let table = jijia::web::table(service.app.clone());
    let open = table.iter().filter(|d| d.rule == Rule::Public && !["GET", "HEAD"].contains(&d.method));
    let open: BTreeSet<String> = open.map(|d| format!("{} {}", d.method, d.path)).collect();
    let (_, ways) = DOCUMENT.split_once("## Ways in").unwrap();
    let (ways, _) = ways.split_once("\n## ").unwrap();
    let said = ways.split('`').filter(|t| ["POST ", "PUT ", "DELETE "].iter().any(|m| t.starts_with(m)));
    assert_eq!(open, said.map(str::to_owned).collect());
    let minutes = LINK_LIFETIME.as_secs() / 60;
    assert!(ways.contains(&format!("once, within {minutes} minutes")), "{minutes}");
}

#[test]
fn the_document_says_how_long_sessions_live() {
    let Config { people, .. } = config::load(None, []).unwrap();
    let document = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        format!(
            "not used for {} hours, and at the latest after {}",
            people.session_idle_h, people.session_max_h
        ),
        format!("at most {} sessions", jijia::store::people::SESSIONS_MAX),
        "NIST SP 800-63B asks for less".to_owned(),
    ] {
        assert!(document.contains(&said), "{said}");
    }
}

#[test]
fn the_document_says_whose_each_field_is() {
    let (_, fields) = DOCUMENT.split_once("| field | read by | written by |").unwrap();
    for field in
        ["name of a person", "original of a photo", "why somebody was excused", "`person.id`", "role, unit"]
    {
        let row = fields.lines().find(|l| l.starts_with(&format!("| {field}")));
        let cells = row.unwrap_or_else(|| panic!("{field}")).split('|').filter(|c| !c.trim().is_empty());
        assert_eq!(cells.count(), 3, "{field}");
    }
}

#[test]
fn what_is_secret_is_typed_masked_and_may_be_pasted() {
    let mut seen = 0;
    for file in std::fs::read_dir(root().join("dashboards/templates")).unwrap() {
        let path = file.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        let what = path.display();
        assert!(!["onpaste", "oncopy", "ondrop"].iter().any(|on| page.contains(on)), "{what}");
        for input in page.split("<input ").skip(1).filter_map(|rest| rest.split('>').next()) {
            let named = |names: &[&str]| names.iter().any(|n| input.contains(&format!("name=\"{n}\"")));
            if named(&["password", "new_password", "pin"]) {
                seen += 1;
                assert!(input.contains("type=\"password\""), "{what}: {input}");
                let helped = ["current-password", "new-password"].iter().any(|a| input.contains(a));
                assert!(helped || named(&["pin"]), "{what}: a password manager fills it: {input}");
            }
        }
    }
    assert!(seen >= 7, "{seen}");
    assert!(!read("dashboards/assets/people.js").contains("prompt("), "a prompt shows what is typed");
}

#[test]
fn secrets_are_made_by_the_randomness_of_the_system() {
    assert!(read("src/people/secret.rs").contains("getrandom::fill(&mut bytes)"));
    let mut folders = ["src/people", "src/store", "src/web", "src/commands"].map(|f| root().join(f)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("fastrand"), "{}: chance from a seed makes no secret", path.display());
        }
    }
}
