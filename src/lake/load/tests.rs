use super::*;

fn shipped() -> Vec<(&'static str, String)> {
    FILES.map(|(file, text)| (file, text.to_owned())).to_vec()
}

/// The problems of the shipped place after one change of one file; the change must have happened.
fn problems_after(file: &str, from: &str, to: &str) -> Vec<Problem> {
    let mut texts = shipped();
    let text = &mut texts.iter_mut().find(|(name, _)| *name == file).unwrap().1;
    assert!(text.contains(from), "{file} has no `{from}`");
    *text = text.replacen(from, to, 1);
    parse(&texts).err().unwrap_or_default()
}

/// The same for a whole file.
fn problems_with(file: &str, text: &str) -> Vec<Problem> {
    let mut texts = shipped();
    texts.iter_mut().find(|(name, _)| *name == file).unwrap().1 = text.to_owned();
    parse(&texts).err().unwrap_or_default()
}

fn lake_of(coordinates: &str) -> String {
    format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"name":"湖"}},
        "geometry":{{"type":"Polygon","coordinates":{coordinates}}}}}]}}"#
    )
}

#[track_caller]
fn assert_named(problems: &[Problem], file: &str, feature: &str, words: &[&str]) {
    let named = problems
        .iter()
        .any(|p| p.file == file && p.feature == feature && words.iter().all(|w| p.message.contains(w)));
    assert!(named, "no problem in {file}, {feature} with {words:?}: {problems:#?}");
}

#[test]
fn the_embedded_place_is_valid_and_says_it_is_no_survey() {
    let place = parse(&shipped()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(place.name, "吉家湖");
    assert_eq!(place.notice, "示意, 非测绘");
    assert_eq!((place.sectors.len(), place.outfalls.len(), place.stations.len()), (6, 8, 5));
    assert_eq!((place.units.len(), place.windows.len()), (5, 2));
    assert!(place.outfalls.iter().all(|o| o.sector.is_some()), "{:#?}", place.outfalls);
    assert_eq!(place.windows[0].name, "早巡");
    for (file, text) in FILES {
        assert!(text.contains("示意, 非测绘"), "{file} does not say that it is illustrative");
    }
}

#[test]
fn a_folder_gives_what_is_embedded_and_another_byte_another_hash() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in FILES {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    assert_eq!(load(dir.path()).unwrap().hash, embedded().hash);
    std::fs::write(dir.path().join(LAKE), format!("{}\n", FILES[1].1)).unwrap();
    assert_ne!(load(dir.path()).unwrap().hash, embedded().hash);
}

#[test]
fn missing_and_unreadable_files_are_all_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(LAKE), [0xff, 0xfe]).unwrap();
    let problems = load(dir.path()).unwrap_err();
    assert_eq!(problems.len(), 5);
    assert_named(&problems, LAKE, "", &["UTF-8"]);
    assert_named(&problems, PLACE, "", &["cannot be read"]);
}

#[test]
fn files_that_are_not_what_they_should_be() {
    assert_named(&problems_with(PLACE, "name = "), PLACE, "", &["not TOML", "line 1"]);
    assert_named(&problems_with(LAKE, "{}"), LAKE, "", &["FeatureCollection"]);
    let empty = r#"{"type":"FeatureCollection","features":[]}"#;
    assert_named(&problems_with(LAKE, empty), LAKE, "", &["no polygon"]);
    let bare =
        r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":null}]}"#;
    assert_named(&problems_with(LAKE, bare), LAKE, "feature 1", &["no geometry"]);
    let problems = problems_after(
        LAKE,
        r#""type": "FeatureCollection""#,
        concat!(
            r#""type": "FeatureCollection", "#,
            r#""crs": {"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4547"}}"#
        ),
    );
    assert_named(&problems, LAKE, "", &["EPSG::4547", "EPSG:4326"]);
    let problems = problems_after(
        LAKE,
        r#""type": "FeatureCollection""#,
        concat!(
            r#""type": "FeatureCollection", "#,
            r#""crs": {"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}}"#
        ),
    );
    assert_eq!(problems, []);
}

#[test]
fn rings_that_are_open_short_or_crossed() {
    let problems = problems_with(LAKE, &lake_of("[[[113.1,29.4],[113.2,29.4],[113.2,29.5],[113.1,29.5]]]"));
    assert_named(&problems, LAKE, "feature 1", &["the outline", "not closed", "repeat its first point"]);
    let problems = problems_with(LAKE, &lake_of("[[[113.1,29.4],[113.2,29.4],[113.1,29.4]]]"));
    assert_named(&problems, LAKE, "feature 1", &["3 points", "at least 4"]);
    let problems = problems_with(LAKE, &lake_of("[[[113.1,29.4],[113.1,29.4],[113.2,29.4],[113.1,29.4]]]"));
    assert_named(&problems, LAKE, "feature 1", &["fewer than 4 different points"]);
    let bow = "[[[113.1,29.4],[113.2,29.5],[113.2,29.4],[113.1,29.5],[113.1,29.4]]]";
    let problems = problems_with(LAKE, &lake_of(bow));
    assert_named(&problems, LAKE, "feature 1", &["crosses itself near [113.150000, 29.450000]"]);
    let square = "[[113.1,29.4],[113.2,29.4],[113.2,29.5],[113.1,29.5],[113.1,29.4]]";
    let out = "[[113.3,29.4],[113.4,29.4],[113.4,29.5],[113.3,29.4]]";
    let problems = problems_with(LAKE, &lake_of(&format!("[{square},{out}]")));
    assert_named(&problems, LAKE, "feature 1", &["hole 1", "inside the outline"]);
    let (a, b) = (
        "[[113.12,29.42],[113.16,29.42],[113.16,29.46],[113.12,29.42]]",
        "[[113.13,29.42],[113.17,29.42],[113.17,29.46],[113.13,29.42]]",
    );
    let problems = problems_with(LAKE, &lake_of(&format!("[{square},{a},{b}]")));
    assert_named(&problems, LAKE, "feature 1", &["hole 1 and hole 2 overlap"]);
}

#[test]
fn waters_that_overlap() {
    let mut text = lake_of("[[[113.1,29.4],[113.12,29.4],[113.12,29.42],[113.1,29.42],[113.1,29.4]]]");
    let second = r#",{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":
        [[[113.11,29.41],[113.13,29.41],[113.13,29.43],[113.11,29.43],[113.11,29.41]]]}}]}"#;
    text.truncate(text.len() - 2);
    assert_named(&problems_with(LAKE, &(text + second)), LAKE, "", &["one polygon"]);
}

#[test]
fn positions_that_are_swapped_projected_or_elsewhere() {
    let swap = |to: &str| problems_after(OUTFALLS, first_outfall(), to);
    assert_named(&swap("[29.3951, 113.1129]"), OUTFALLS, "JJH-PK-0001", &["swapped", "[113.1129, 29.3951]"]);
    assert_named(&swap("[511000.0, 3253000.0]"), OUTFALLS, "JJH-PK-0001", &["projected metres", "degrees"]);
    assert_named(&swap("[2.35, 48.85]"), OUTFALLS, "JJH-PK-0001", &["72.004 to 137.8347", "crs"]);
    assert_named(&swap("[181.0, 29.4]"), OUTFALLS, "JJH-PK-0001", &["outside the range"]);
    let lake = lake_of("[[[29.4,113.1],[29.4,113.2],[29.5,113.2],[29.4,113.1]]]");
    assert_named(&problems_with(LAKE, &lake), LAKE, "feature 1", &["swapped"]);
}

fn first_outfall() -> &'static str {
    let text = FILES[3].1;
    let start = text.find(r#""coordinates": "#).unwrap() + r#""coordinates": "#.len();
    &text[start..=start + text[start..].find(']').unwrap()]
}

#[test]
fn the_reference_system_of_the_files_is_taken_off() {
    let mut texts = shipped();
    texts[0].1 = texts[0].1.replace(r#"crs = "wgs84""#, r#"crs = "gcj02""#);
    let moved = parse(&texts).unwrap().outfalls[0].position;
    let plain = embedded().outfalls[0].position;
    assert!((plain.lng - moved.lng - 0.00598).abs() < 0.0002, "{moved:?}");
    assert!((plain.lat - moved.lat + 0.00252).abs() < 0.0002, "{moved:?}");
}

#[test]
fn an_outfall_far_from_water_or_of_an_unknown_unit() {
    let problems = problems_after(OUTFALLS, first_outfall(), "[113.15, 29.4]");
    assert_named(&problems, OUTFALLS, "JJH-PK-0001", &["m from the shore", "100 m are allowed"]);
    let problems = problems_after(OUTFALLS, r#""unit": "SX""#, r#""unit": "SXX""#);
    assert_eq!(problems.len(), 1);
    assert_named(
        &problems,
        OUTFALLS,
        "JJH-PK-0003",
        &["unknown unit `SXX`", "did you mean `SX`?", "QZF, CT"],
    );
}

#[test]
fn sectors_that_overlap_leave_the_shore_or_are_split() {
    let square = |west: f64, south: f64, side: f64| {
        let (east, north) = (west + side, south + side);
        format!("[[[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}],[{west},{south}]]]")
    };
    let sector = |code: &str, kind: &str, coordinates: &str| {
        format!(
            r#"{{"type":"Feature","properties":{{"code":"{code}","name":"岸段","community":"社区"}},
            "geometry":{{"type":"{kind}","coordinates":{coordinates}}}}}"#
        )
    };
    let file = |rows: &[String]| format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, rows.join(","));
    let a = square(113.103, 29.395, 0.006);
    let b = square(113.107, 29.395, 0.006);
    let problems = problems_with(SECTORS, &file(&[sector("A", "Polygon", &a), sector("B", "Polygon", &b)]));
    assert_named(&problems, SECTORS, "A", &["overlaps B by", "m²", "only touch"]);
    // 2e-7 degrees of 600 m are 13 m²: a sliver of two hands drawing one border.
    let beside = square(113.109 - 2e-7, 29.395, 0.006);
    let problems =
        problems_with(SECTORS, &file(&[sector("A", "Polygon", &a), sector("B", "Polygon", &beside)]));
    assert_eq!(problems.iter().filter(|p| p.message.contains("overlaps")).count(), 0, "{problems:#?}");
    let far = square(113.13, 29.395, 0.002);
    let problems = problems_with(SECTORS, &file(&[sector("A", "Polygon", &far)]));
    assert_named(&problems, SECTORS, "A", &["does not touch the shore", "m away"]);
    let afloat = square(113.1095, 29.4005, 0.0005);
    let problems = problems_with(SECTORS, &file(&[sector("A", "Polygon", &afloat)]));
    assert_named(&problems, SECTORS, "A", &["does not touch the shore"]);
    let problems = problems_with(SECTORS, &file(&[sector("A", "MultiPolygon", &format!("[{a},{far}]"))]));
    assert_named(&problems, SECTORS, "A", &["2 polygons", "its own feature"]);
    let problems = problems_with(SECTORS, &file(&[sector("A", "Point", "[113.1, 29.4]")]));
    assert_named(&problems, SECTORS, "A", &["is a Point", "Polygon is needed"]);
}

#[test]
fn codes_that_are_double_or_empty() {
    let problems = problems_after(OUTFALLS, "JJH-PK-0002", "JJH-PK-0001");
    assert_named(&problems, OUTFALLS, "JJH-PK-0001", &["used twice"]);
    let problems = problems_after(SECTORS, "JJH-AD-02", "JJH-AD-01");
    assert_named(&problems, SECTORS, "JJH-AD-01", &["used twice"]);
    let problems = problems_after(STATIONS, "JJH-S2", " ");
    assert_named(&problems, STATIONS, "feature 2", &["code is empty"]);
    let problems = problems_after(PLACE, r#"code = "CT""#, r#"code = "SX""#);
    assert_named(&problems, PLACE, "SX", &["used twice"]);
}

#[test]
fn unknown_keys_are_named_with_the_nearest_right_one() {
    let problems = problems_after(PLACE, "match_m = 30", "match_m = 30\nneighborhood_m = 5");
    assert_named(&problems, PLACE, "", &["`neighborhood_m`", "did you mean `neighbourhood_m`?"]);
    let problems = problems_after(PLACE, r#"from = "06:30""#, "from = \"06:30\"\nform = 1");
    assert_named(&problems, PLACE, "[[window]] 1", &["`form`", "did you mean `from`?"]);
    let problems = problems_after(OUTFALLS, r#""kind""#, r#""kynd""#);
    assert_named(&problems, OUTFALLS, "JJH-PK-0001", &["`kynd`", "did you mean `kind`?"]);
    assert_named(&problems, OUTFALLS, "JJH-PK-0001", &["missing field `kind`"]);
    let problems = problems_after(SECTORS, r#""community""#, r#""zzz": 1, "community""#);
    assert_named(&problems, SECTORS, "JJH-AD-01", &["`zzz`; allowed: code, name, community"]);
    let problems = problems_after(STATIONS, r#""property": "ph""#, r#""property": "pH""#);
    assert_named(&problems, STATIONS, "JJH-S1", &["unknown property `pH`", "did you mean `ph`?"]);
    let problems = problems_after(PLACE, r#"crs = "wgs84""#, r#"crs = "wgs-84""#);
    assert_named(&problems, PLACE, "", &["wgs-84", "gcj02"]);
}

#[test]
fn windows_that_are_reversed_overlap_or_are_no_times() {
    let problems = problems_after(PLACE, r#"to = "09:00""#, r#"to = "06:30""#);
    assert_named(&problems, PLACE, "morning", &["06:30 is not before to 06:30"]);
    let problems = problems_after(PLACE, r#"from = "15:30""#, r#"from = "09:00""#);
    assert_named(&problems, PLACE, "evening", &["overlaps window morning"]);
    let problems = problems_after(PLACE, r#"from = "15:30""#, r#"from = "25:30""#);
    assert_named(&problems, PLACE, "evening", &["from `25:30`", "06:30"]);
}

#[test]
fn limits_and_channels() {
    let problems = problems_after(PLACE, "match_m = 30", "match_m = 0");
    assert_named(&problems, PLACE, "match_m", &["from 1 to 100000"]);
    let problems = problems_after(PLACE, "neighbourhood_m = 1000", "neighbourhood_m = nan");
    assert_named(&problems, PLACE, "neighbourhood_m", &["NaN"]);
    let problems = problems_after(STATIONS, r#""every_s": 600"#, r#""every_s": 0"#);
    assert_named(&problems, STATIONS, "JJH-S1", &["every_s 0", "1 to 86400"]);
    let problems = problems_after(STATIONS, r#""property": "ph""#, r#""property": "wt""#);
    assert_named(&problems, STATIONS, "JJH-S1", &["`wt` stands twice"]);
}

#[test]
fn a_check_names_everything_at_once_and_reads_as_a_line() {
    let mut texts = shipped();
    texts[3].1 = texts[3].1.replace(r#""unit": "SX""#, r#""unit": "XX""#);
    texts[0].1 = texts[0].1.replace("match_m = 30", "match_m = -1");
    let problems = parse(&texts).unwrap_err();
    assert_eq!(problems.len(), 3);
    assert!(problems[1].to_string().starts_with("outfalls.geojson, JJH-PK-0003: unknown unit `XX`"));
}

/// The shipped place with waypoints of its own, one JSON feature each.
fn drawn(features: &str) -> Result<Place, Vec<Problem>> {
    let mut texts = shipped();
    texts.push((WAYPOINTS, format!(r#"{{"type":"FeatureCollection","features":[{features}]}}"#)));
    parse(&texts)
}

fn waypoint(code: &str, lng: f64, lat: f64) -> String {
    format!(
        r#"{{"type":"Feature","properties":{{"code":"{code}","name":"栈桥"}},
        "geometry":{{"type":"Point","coordinates":[{lng},{lat}]}}}}"#
    )
}

#[test]
fn every_outfall_is_a_waypoint_unless_others_are_drawn() {
    let shipped = embedded();
    let codes = |place: &Place| place.waypoints.iter().map(|w| w.code.clone()).collect::<Vec<_>>();
    assert_eq!(codes(&shipped), shipped.outfalls.iter().map(|o| o.code.clone()).collect::<Vec<_>>());
    assert!(shipped.waypoints.iter().zip(&shipped.outfalls).all(|(w, o)| w.sector == o.sector));
    let own =
        drawn(&[waypoint("W-2", 113.114704, 29.397488), waypoint("W-1", 113.11281, 29.395396)].join(","))
            .unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(codes(&own), ["W-1", "W-2"]);
    assert_eq!(own.waypoints[0].sector, shipped.outfalls[0].sector);
    assert_ne!(own.hash, shipped.hash, "what a patrol must reach belongs to the place");
}

#[test]
fn a_waypoint_that_nobody_would_reach_is_named() {
    let at = |code| waypoint(code, 113.11281, 29.395396);
    let problems = drawn(&[at("W-1"), at("W-1")].join(",")).unwrap_err();
    assert_named(&problems, WAYPOINTS, "W-1", &["twice"]);
    let problems = drawn(&waypoint("W-1", 113.2, 29.3)).unwrap_err();
    assert_named(&problems, WAYPOINTS, "W-1", &["no sector"]);
    assert_named(&problems_after(PLACE, "waypoint_m = 30", "waypoint_m = 0"), PLACE, "waypoint_m", &["1 to"]);
    assert_eq!(problems_after(PLACE, "waypoint_m = 30\n", ""), [], "an older place has none");
}
