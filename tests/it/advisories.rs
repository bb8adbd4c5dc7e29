//! Known advisories against the locked crates: `tests/advisories.tsv` answers each that touches one.

use std::collections::BTreeSet;

use semver::{Version, VersionReq};

const LIST: &str = include_str!("../advisories.tsv");

/// A row of the list.
struct Advisory<'a> {
    id: &'a str,
    krate: &'a str,
    affected: VersionReq,
    published: &'a str,
    answer: &'a str,
}

fn advisories() -> Vec<Advisory<'static>> {
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [id, krate, affected, published, answer] = cells[..] else { panic!("five columns: {line}") };
        let affected = affected.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        Advisory { id, krate, affected, published, answer }
    };
    LIST.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// Every locked crate with its version.
fn locked() -> Vec<(String, Version)> {
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap();
    let crates = lock["package"].as_array().unwrap().iter();
    let text = |entry: &toml::Value, key: &str| entry[key].as_str().unwrap().to_owned();
    crates.map(|c| (text(c, "name"), text(c, "version").parse().unwrap())).collect()
}

/// What is wrong with an answer, for the versions that are locked.
fn unanswered(advisory: &Advisory<'_>, locked: &[(String, Version)]) -> Option<String> {
    let hit =
        |(name, version): &&(String, Version)| name == advisory.krate && advisory.affected.matches(version);
    let hits: Vec<String> = locked.iter().filter(hit).map(|(_, version)| version.to_string()).collect();
    let (id, krate) = (advisory.id, advisory.krate);
    match (hits.is_empty(), advisory.answer.split_once(": ")) {
        (false, Some(("accepted", why))) if why.len() > 20 => None,
        (false, _) => {
            Some(format!("{id}: {krate} {} is affected; update it, or say why not", hits.join(", ")))
        }
        (true, Some(("fixed", _))) => None,
        (true, _) => {
            Some(format!("{id}: no {krate} that is affected is locked any more; say `fixed: VERSION`"))
        }
    }
}

#[test]
fn every_locked_version_with_a_known_advisory_is_answered() {
    let (advisories, locked) = (advisories(), locked());
    let problems: Vec<String> = advisories.iter().filter_map(|a| unanswered(a, &locked)).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    for a in &advisories {
        assert!(a.published.parse::<jiff::civil::Date>().is_ok(), "{}: {}", a.id, a.published);
    }
    assert!(advisories.is_sorted_by_key(|a| a.id), "by their ids");
    // The list bites: one version back is found.
    let old = [("h2".to_owned(), Version::new(0, 4, 15))];
    let h2 = advisories.iter().find(|a| a.krate == "h2" && a.answer.starts_with("fixed")).unwrap();
    assert!(unanswered(h2, &old).is_some_and(|words| words.contains("h2 0.4.15 is affected")));
}

#[test]
fn what_is_accepted_here_is_what_cargo_deny_is_told_to_ignore() {
    let deny: toml::Table = include_str!("../../.deny.toml").parse().unwrap();
    let ignored: BTreeSet<&str> =
        deny["advisories"]["ignore"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let advisories = advisories();
    let accepted = advisories.iter().filter(|a| a.answer.starts_with("accepted: ")).map(|a| a.id).collect();
    assert_eq!(ignored, accepted);
}
