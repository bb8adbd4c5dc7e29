//! The ledger as CSV and the sightings as GeoJSON.

use jijia::document::{Pictures, geojson, table, write_file};
use jijia::error::Error;
use jijia::evidence::timeline::Row;
use jijia::picture::MapMarks;
use serde_json::Value;

use crate::sample::{Sample, sample};

fn csv_of(sample: &Sample) -> (Vec<u8>, Vec<csv::StringRecord>) {
    let mut out = Vec::new();
    table::write_csv(&sample.timeline, &mut out).unwrap();
    let text = out.strip_prefix("\u{feff}".as_bytes()).expect("Excel reads it as GBK without its mark");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    let rows = reader.records().map(Result::unwrap).collect();
    (out, rows)
}

fn column(rows: &[csv::StringRecord], head: &str) -> usize {
    rows[0].iter().position(|h| h == head).unwrap_or_else(|| panic!("no column {head}"))
}

#[test]
fn csv_has_every_row_of_the_timeline_and_what_it_is() {
    let sample = sample();
    let (_, rows) = csv_of(&sample);
    assert_eq!(rows.len(), 1 + sample.timeline.rows.len());
    let kinds = |kind: &str| rows.iter().filter(|r| &r[0] == kind).count();
    assert_eq!((kinds("上报"), kinds("缺口")), (100, 6));
    assert_eq!(kinds("降雨"), sample.timeline.rain_days.iter().filter(|r| r.mm > 0.0).count());
    let [cut_off, root, notice] =
        ["数据截止（北京时间）", "日志根哈希", "声明"].map(|head| column(&rows, head));
    for row in &rows[1..] {
        assert_eq!(&row[cut_off], "2026-08-01 08:00");
        assert_eq!(row[root], sample.timeline.log_root);
        assert_eq!(&row[notice], "演示数据；位置示意，非测绘；监测值为原始值，未审核，仅供参考");
    }
    let (time, lng, level) =
        (column(&rows, "发现时间（北京时间）"), column(&rows, "经度（WGS-84）"), column(&rows, "证据等级"));
    let first = rows.iter().find(|r| &r[0] == "上报").unwrap();
    assert!(first[time].starts_with("2026-07-01 "), "北京时间, not UTC");
    assert!(first[lng].parse::<f64>().unwrap() > 113.0);
    assert!(["E0", "E1", "E2"].contains(&&first[level]));
}

#[test]
fn an_empty_csv_says_what_was_asked_and_when() {
    let mut sample = sample();
    sample.timeline.rows.clear();
    let (_, rows) = csv_of(&sample);
    assert_eq!((rows.len(), &rows[1][0]), (2, "无记录"));
    for (head, said) in [
        ("数据截止（北京时间）", "2026-08-01 08:00"),
        ("筛选条件", sample.timeline.filter_words.as_str()),
        ("日志条目数", "18342"),
        ("日志根哈希", sample.timeline.log_root.as_str()),
    ] {
        assert_eq!(&rows[1][column(&rows, head)], said, "{head}");
    }
}

#[test]
fn csv_text_that_looks_like_a_formula_stays_text() {
    let mut sample = sample();
    for row in &mut sample.timeline.rows {
        if let Row::Sighting(s) = row {
            s.note = Some("=HYPERLINK(\"http://x\",\"a\"),\r\nb".into());
            s.position.as_mut().into_iter().for_each(|at| at.lng = -1.5);
        }
    }
    let (_, rows) = csv_of(&sample);
    let (note, lng) = (column(&rows, "备注"), column(&rows, "经度（WGS-84）"));
    let row = rows.iter().find(|r| &r[0] == "上报").unwrap();
    assert_eq!(&row[note], "'=HYPERLINK(\"http://x\",\"a\"),\r\nb");
    assert_eq!(&row[lng], "-1.5", "a number is no text");
    for cell in rows.iter().flatten().filter(|cell| cell.parse::<f64>().is_err()) {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
}

#[test]
fn geojson_states_its_cut_off_and_keeps_what_has_no_position() {
    let sample = sample();
    let mut out = Vec::new();
    geojson::write(&sample.timeline, &mut out).unwrap();
    let parsed: ::geojson::FeatureCollection = serde_json::from_slice(&out).unwrap();
    assert_eq!(parsed.features.len(), 100);
    assert_eq!(parsed.features.iter().filter(|f| f.geometry.is_none()).count(), 1);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["type"], "FeatureCollection");
    assert_eq!(value["cut_off"], "2026-08-01T00:00:00Z");
    assert_eq!(value["log"]["size"], 18_342);
    assert_eq!(value["log"]["root"], *sample.timeline.log_root);
    assert!(value["notice"].as_str().unwrap().contains("示意，非测绘"));
    assert_eq!(value["gaps"].as_array().unwrap().len(), 6);
    let first = &value["features"][0];
    let [lng, lat] = [0, 1].map(|i| first["geometry"]["coordinates"][i].as_f64().unwrap());
    assert!((113.0..114.0).contains(&lng) && (29.0..30.0).contains(&lat), "longitude first");
    assert_eq!(first["properties"]["outfall"]["code"], "JJH-PK-0003");
    assert_eq!(first["properties"]["entry"]["index"], 1200);
    assert!(first["properties"].get("person").is_none());
    let nowhere = value["features"].as_array().unwrap().iter().find(|f| f["geometry"].is_null()).unwrap();
    assert_eq!(nowhere["properties"]["no_position"], "手机定位未开启");
}

#[test]
fn a_drawn_patch_is_an_outline_whichever_way_round_it_was_drawn() {
    let mut timeline = sample().timeline;
    // Clockwise, as a hand may draw it.
    let ring = vec![[113.11, 29.40], [113.11, 29.41], [113.12, 29.41], [113.12, 29.40], [113.11, 29.40]];
    let first = timeline.rows.iter_mut().find_map(|r| if let Row::Sighting(s) = r { Some(s) } else { None });
    first.unwrap().patch = Some(ring.clone());
    let mut out = Vec::new();
    geojson::write(&timeline, &mut out).unwrap();
    let value: Value = serde_json::from_slice(&out).unwrap();
    let geometry = &value["features"][0]["geometry"];
    assert_eq!(geometry["type"], "Polygon");
    let mut counter_clockwise = ring.clone();
    counter_clockwise.reverse();
    assert_eq!(geometry["coordinates"], serde_json::json!([counter_clockwise]));
    let marks = MapMarks::of(&timeline);
    assert_eq!(marks.patches.len(), 1);
    assert_eq!(marks.patches[0].outline.exterior().0[0], ring[0].into());
}

#[test]
fn a_full_disk_is_said_as_one_by_every_format() {
    let (sample, folder) = (sample(), tempfile::tempdir().unwrap());
    let none = Pictures { map: None, chart: None, photo: &|_| None };
    for ending in ["docx", "xlsx", "csv", "geojson"] {
        let name = format!("out.{ending}");
        // What is written beside its place goes to a device without any room.
        let part = folder.path().join(format!(".{name}.{}.part", std::process::id()));
        std::os::unix::fs::symlink("/dev/full", part).unwrap();
        let full = write_file(&folder.path().join(&name), &sample.timeline, &none);
        assert!(matches!(full, Err(Error::NoSpace(_))), "{ending}: {full:?}");
    }
}
