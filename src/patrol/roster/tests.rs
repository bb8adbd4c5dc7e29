use super::*;
use crate::lake::load::embedded;

const ROSTER: &str = r#"
    [[rule]]
    persons = ["p-01", "p-02"]
    sectors = ["JJH-AD-01", "JJH-AD-02"]
    weekdays = ["mon", "tue", "wed", "thu", "fri"]
    [[rule]]
    persons = ["p-03"]
    windows = ["evening"]
    from = "2026-07-01"
    to = "2026-07-31"
    [[exception]]
    day = "2026-07-14"
    persons = ["p-09"]
    sectors = ["JJH-AD-01"]
    [[leave]]
    person = "p-01"
    from = "2026-07-15"
    to = "2026-07-16"
    reason = "病假"
    [[leave]]
    person = "p-02"
    from = "2026-07-16"
    to = "2026-07-16"
    windows = ["morning"]
    reason = "事假"
    [[weather]]
    from = "2026-07-20"
    to = "2026-07-20"
    windows = ["morning"]
    reason = "暴雨红色预警"
"#;

fn on(day: &str, window: &str, sector: &str) -> (Vec<String>, Option<String>) {
    let roster = Roster::parse(ROSTER, &embedded()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let slot = Slot { day: day.parse().unwrap(), window, sector };
    (roster.on_duty(&slot), roster.excuse(&slot).map(|e| e.reason))
}

#[test]
fn rules_by_weekday_and_exceptions_in_their_place() {
    // 2026-07-13 is a Monday.
    assert_eq!(on("2026-07-13", "morning", "JJH-AD-01").0, ["p-01", "p-02"]);
    assert_eq!(on("2026-07-13", "evening", "JJH-AD-01").0, ["p-01", "p-02", "p-03"]);
    assert_eq!(on("2026-07-18", "morning", "JJH-AD-01").0, [] as [&str; 0], "a Saturday");
    assert_eq!(on("2026-08-03", "evening", "JJH-AD-03").0, [] as [&str; 0], "after the rule's last day");
    assert_eq!(on("2026-07-14", "evening", "JJH-AD-01").0, ["p-09"]);
    assert_eq!(on("2026-07-14", "morning", "JJH-AD-02").0, ["p-01", "p-02"]);
}

#[test]
fn leave_excuses_only_when_nobody_is_left_and_weather_everybody() {
    assert_eq!(on("2026-07-15", "morning", "JJH-AD-01").1, None, "p-02 was there");
    let both = on("2026-07-16", "morning", "JJH-AD-01").1;
    assert_eq!(both.as_deref(), Some("p-01 病假；p-02 事假"));
    assert_eq!(on("2026-07-16", "evening", "JJH-AD-01").1, None, "p-02 and p-03 were there");
    assert_eq!(on("2026-07-20", "morning", "JJH-AD-06").1.as_deref(), Some("暴雨红色预警"));
    assert_eq!(on("2026-07-20", "evening", "JJH-AD-06").1, None);
    assert_eq!(on("2026-07-18", "morning", "JJH-AD-01").1, None, "nobody on duty is no leave");
}

#[test]
fn every_slip_is_named() {
    let place = embedded();
    for (from, to, label, words) in [
        ("\"JJH-AD-01\", \"JJH-AD-02\"", "\"JJH-AD-99\"", "[[rule]] 1", "JJH-AD-06"),
        ("windows = [\"evening\"]", "windows = [\"night\"]", "[[rule]] 2", "morning, evening"),
        ("to = \"2026-07-31\"", "to = \"2026-06-30\"", "[[rule]] 2", "turn them round"),
        ("[\"p-09\"]", "[]", "[[exception]] 1", "name who"),
        ("[\"p-09\"]", "[\"张三\"]", "[[exception]] 1", "opaque id"),
        ("\"病假\"", "\" \"", "[[leave]] 1", "say why"),
        ("\"mon\", ", "\"monday\", ", "", "expected one of `mon`"),
        ("person = \"p-02\"", "name = \"p-02\"", "", "unknown field `name`"),
    ] {
        assert!(ROSTER.contains(from));
        let problems = Roster::parse(&ROSTER.replacen(from, to, 1), &place).unwrap_err();
        let named = problems.iter().any(|p| p.feature == label && p.message.contains(words));
        assert!(named, "{to}: {problems:#?}");
    }
}

#[test]
fn no_file_is_no_roster_and_another_byte_another_hash() {
    let (dir, place) = (tempfile::tempdir().unwrap(), embedded());
    assert_eq!(load(dir.path(), &place).unwrap().sha256, None);
    std::fs::write(dir.path().join(FILE), ROSTER).unwrap();
    let first = load(dir.path(), &place).unwrap().sha256;
    std::fs::write(dir.path().join(FILE), format!("{ROSTER}# x")).unwrap();
    assert!(first.is_some() && first != load(dir.path(), &place).unwrap().sha256);
    std::fs::write(dir.path().join(FILE), "[[rul]]").unwrap();
    assert!(load(dir.path(), &place).unwrap_err().to_string().starts_with("roster.toml: line 1: "));
    std::fs::write(dir.path().join(FILE), b"\xff").unwrap();
    assert!(load(dir.path(), &place).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn a_slip_is_named_by_its_line_and_without_the_words_of_the_line() {
    let (dir, place) = (tempfile::tempdir().unwrap(), embedded());
    let said = |text: &str| {
        std::fs::write(dir.path().join(FILE), text).unwrap();
        load(dir.path(), &place).unwrap_err().to_string()
    };
    let rule = "[[rule]]\npersons = [\"p-01\"]\n\n";
    let second = said(&format!("# 值班\n{rule}[[rule]]\npersons = []\n"));
    assert!(second.starts_with("roster.toml: [[rule]] 2, line 5: persons is empty"), "{second}");
    let leave = said(&format!("{rule}[[leave]]\nperson = \"p-01\"\nreason = \"手术\" x\n"));
    assert!(leave.starts_with("roster.toml: line 6: ") && !leave.contains("手术"), "{leave}");
}

#[test]
fn the_example_reads() {
    let example = Roster::parse(include_str!("../../../config/roster.example.toml"), &embedded());
    assert!(example.is_ok(), "{example:?}");
}
