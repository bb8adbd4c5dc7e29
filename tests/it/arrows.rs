//! Which room may know which: the arrows of `src/lib.rs`, read from the sources.

use std::collections::BTreeSet;
use std::path::Path;

/// The trade: plain functions over plain types. They may know each other.
const TRADE: [&str; 6] = ["lake", "patrol", "people", "water", "casework", "evidence"];
/// Layers from the top; the rooms of one layer do not know each other, every layer knows those below.
const ABOVE: [&[&str]; 5] = [
    &["demo", "calc"],
    &["web", "ingest", "witness"],
    &["mirror", "document"],
    &["publish"],
    &["store", "picture"],
];
/// Known to all; `config` gives each part its own section, and only `main` sees the whole.
const BELOW: [&str; 4] = ["error", "clock", "config", "tls"];
/// Libraries that belong to some rooms alone.
const LIBRARIES: [(&str, &[&str]); 12] = [
    ("argon2", &["people"]),
    ("totp_rs", &["people"]),
    ("rcgen", &["tls"]),
    ("instant_acme", &["tls"]),
    ("x509_cert", &["tls"]),
    ("rusqlite", &["store"]),
    ("sqlx", &["store"]),
    ("axum", &["web", "demo", "witness"]),
    ("rumqttc", &["ingest", "demo"]),
    ("hyper", &["tls", "web"]),
    ("influxdb2", &["mirror"]),
    ("tokio", &["demo", "web", "ingest", "mirror", "document", "publish", "store", "tls", "witness"]),
];
/// How a string that asks the database begins.
const SQL: [&str; 5] = ["select ", "insert into ", "update ", "delete from ", "pragma "];

/// What `room` may use of the crate, itself included.
fn allowed(room: &str) -> BTreeSet<&'static str> {
    let mut may: BTreeSet<&str> = BELOW.into();
    if BELOW.contains(&room) {
        return may;
    }
    may.extend(TRADE);
    for layer in ABOVE.iter().rev() {
        if let Some(own) = layer.iter().find(|r| **r == room) {
            may.insert(own);
            return may;
        }
        if !TRADE.contains(&room) {
            may.extend(*layer);
        }
    }
    may
}

/// The text without line comments, which may name anything.
fn code(text: &str) -> String {
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What follows each `root::` that stands at the beginning of a path.
fn paths<'a>(code: &'a str, root: &'a str) -> impl Iterator<Item = &'a str> {
    let starts = |at: usize| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '$'))
    };
    let path = format!("{root}::");
    let length = path.len();
    code.match_indices(&path)
        .map(|(at, _)| at)
        .collect::<Vec<_>>()
        .into_iter()
        .filter(move |at| starts(*at))
        .map(move |at| &code[at + length..])
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The rooms that `code` names by `crate::room` or `crate::{room::…, room}`.
fn rooms_of(code: &str) -> BTreeSet<&str> {
    let mut rooms = BTreeSet::new();
    for rest in paths(code, "crate") {
        let Some(group) = rest.strip_prefix('{') else {
            rooms.insert(word(rest));
            continue;
        };
        let (mut depth, mut fresh) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if fresh && c.is_alphanumeric() => {
                    rooms.insert(word(&group[at..]));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

/// Whether what follows `config::` is the whole of it, by itself or in a group.
fn names_config(rest: &str) -> bool {
    match rest.strip_prefix('{') {
        Some(group) => {
            group.split('}').next().unwrap_or_default().split(',').any(|n| word(n.trim()) == "Config")
        }
        None => word(rest) == "Config",
    }
}

/// Everything in `text`, a file of `room`, that goes against an arrow.
fn wrong(room: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let may = allowed(room);
    let known: BTreeSet<&str> =
        TRADE.into_iter().chain(BELOW).chain(ABOVE.into_iter().flatten().copied()).collect();
    let mut found: Vec<String> = rooms_of(&code)
        .into_iter()
        .filter(|used| known.contains(used) && *used != room && !may.contains(used))
        .map(|used| format!("{room} uses crate::{used}"))
        .collect();
    for (library, rooms) in LIBRARIES {
        if !rooms.contains(&room) && paths(&code, library).next().is_some() {
            found.push(format!("{room} uses {library}"));
        }
    }
    if room != "store" && SQL.iter().any(|sql| code.contains(&format!("\"{sql}"))) {
        found.push(format!("{room} speaks SQL"));
    }
    if paths(&code, "crate").filter_map(|rest| rest.strip_prefix("config::")).any(names_config) {
        found.push(format!("{room} sees the whole configuration"));
    }
    found
}

/// Every file of `src` with the room it belongs to; `main` and what belongs to it stand above all.
fn files(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let first = path.strip_prefix("src").unwrap().components().next().unwrap();
            let room = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            if !["main", "commands", "custody", "lib"].contains(&room.as_str()) {
                into.push((room, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

#[test]
fn no_arrow_is_reversed() {
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    let rooms: BTreeSet<&str> = all.iter().map(|(room, _)| room.as_str()).collect();
    let known: BTreeSet<&str> =
        TRADE.into_iter().chain(BELOW).chain(ABOVE.into_iter().flatten().copied()).collect();
    assert_eq!(rooms, known, "a new room needs its place among the arrows");
    let found: BTreeSet<String> = all.iter().flat_map(|(room, text)| wrong(room, text)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_map_says_the_same_arrows() {
    let map = std::fs::read_to_string("src/lib.rs").unwrap();
    let arrows: String = map.lines().filter_map(|l| l.strip_prefix("//! ")).collect::<Vec<_>>().join(" ");
    let layers: Vec<String> = ABOVE.iter().map(|l| format!("`{}`", l.join(" | "))).collect();
    let line = format!("`main` → {} → `{}` → `error clock tls`", layers.join(" → "), TRADE.join(" "));
    assert!(arrows.contains(&line), "{line}");
}

#[test]
fn a_wrong_use_is_found() {
    for (room, text, says) in [
        ("lake", "use crate::store::Store;", "lake uses crate::store"),
        ("patrol", "use tokio::fs;", "patrol uses tokio"),
        ("evidence", "fn f() { crate::web::serve(); }", "evidence uses crate::web"),
        ("store", "use crate::{error::Result, picture::{map, png}};", "store uses crate::picture"),
        ("store", "use crate::document;", "store uses crate::document"),
        (
            "document",
            "use crate::{\n    lake::Place,\n    mirror::influx,\n};",
            "document uses crate::mirror",
        ),
        ("web", "use crate::ingest::mqtt::MqttStatus;", "web uses crate::ingest"),
        ("error", "use crate::lake::Place;", "error uses crate::lake"),
        ("web", "let rows = sqlx::query(q);", "web uses sqlx"),
        ("mirror", "let sql = \"select 1\";", "mirror speaks SQL"),
        ("water", "use rumqttc::v5::AsyncClient;", "water uses rumqttc"),
        ("web", "use crate::config::Config;", "web sees the whole configuration"),
        ("web", "use crate::config::{Log, Config};", "web sees the whole configuration"),
    ] {
        assert_eq!(wrong(room, text), [says], "{text}");
    }
    for (room, text) in [
        ("lake", "// use crate::store::Store;\nuse crate::error::Result;"),
        ("web", "use crate::{store::Store, document::{Format, export}, evidence};"),
        ("store", "let sql = \"select 1\"; use tokio::sync::watch; use crate::lake::Place;"),
        ("ingest", "use crate::config::Mqtt; macro_rules! m { () => { $crate::web::x() } }"),
        ("water", "use crate::patrol::report::check_text; struct Atokio::X;"),
        ("demo", "use crate::web::App; use crate::store::Store; use crate::demo::broker;"),
    ] {
        assert_eq!(wrong(room, text), [] as [&str; 0], "{text}");
    }
}
