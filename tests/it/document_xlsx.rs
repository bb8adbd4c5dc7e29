//! The Excel ledger: real dates, text that stays text, heads that stay, and LibreOffice reads the same values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use jijia::document::{Format, write_file, xlsx};
use jijia::error::Error;
use jijia::evidence::timeline::Row;

use crate::document_docx::{parts, xml};
use crate::sample::{Sample, sample};

fn written(sample: &Sample) -> BTreeMap<String, Vec<u8>> {
    let mut out = Vec::new();
    sample.with_pictures(|pictures| xlsx::write(&sample.timeline, pictures, &mut out)).unwrap();
    parts(out)
}

/// Cells of a sheet by reference: type and value as stored.
fn cells(parts: &BTreeMap<String, Vec<u8>>, sheet: usize) -> BTreeMap<String, (String, String)> {
    let strings: Vec<String> = xml(parts, "xl/sharedStrings.xml")
        .descendants()
        .filter(|n| n.tag_name().name() == "si")
        .map(|si| si.descendants().filter(|n| n.tag_name().name() == "t").filter_map(|t| t.text()).collect())
        .collect();
    let sheet = xml(parts, &format!("xl/worksheets/sheet{sheet}.xml"));
    let cells = sheet.descendants().filter(|n| n.tag_name().name() == "c").map(|c| {
        assert!(!c.children().any(|n| n.tag_name().name() == "f"), "no formula anywhere");
        let value: String = c.descendants().filter_map(|n| n.text()).next().unwrap_or_default().into();
        let kind = c.attribute("t").unwrap_or("n").to_owned();
        let value = if kind == "s" { strings[value.parse::<usize>().unwrap()].clone() } else { value };
        (c.attribute("r").unwrap().to_owned(), (kind, value))
    });
    cells.collect()
}

#[test]
fn the_ledger_has_real_dates_and_all_rows() {
    let parts = written(&sample());
    for name in parts.keys().filter(|n| n.ends_with(".xml")) {
        xml(&parts, name);
    }
    let cells = cells(&parts, 1);
    assert_eq!(cells["B1"].1, "发现时间（北京时间）");
    // 1 July 2026 is day 46204 of Excel; the first patrol is in its first half.
    let (kind, value) = &cells["B2"];
    assert_eq!(kind, "n");
    assert!((46_204.2..46_204.5).contains(&value.parse::<f64>().unwrap()), "{value}");
    assert_eq!((cells["A1"].1.as_str(), cells["A2"].1.as_str()), ("编号", "1200"));
    assert!(cells.contains_key("A101") && !cells.contains_key("A102"), "100 reports");
    assert_eq!(cells["G2"].0, "n", "longitude is a number");
}

#[test]
fn heads_stay_in_sight_and_the_page_is_landscape_a4() {
    let parts = written(&sample());
    let names = String::from_utf8(parts["xl/workbook.xml"].clone()).unwrap();
    for name in ["发现记录", "存证", "缺口", "监测数据", "降雨", "说明"] {
        assert!(names.contains(&format!("name=\"{name}\"")), "{name}");
    }
    assert!(names.contains("_xlnm.Print_Titles"), "the head repeats on paper");
    for sheet in 1..=5 {
        let doc = xml(&parts, &format!("xl/worksheets/sheet{sheet}.xml"));
        let find = |name: &str| doc.descendants().find(|n| n.tag_name().name() == name).unwrap();
        assert_eq!(find("pane").attribute("state"), Some("frozen"));
        assert!(find("autoFilter").attribute("ref").unwrap().starts_with("A1:"));
        let page = find("pageSetup");
        assert_eq!(
            (page.attribute("paperSize"), page.attribute("orientation")),
            (Some("9"), Some("landscape"))
        );
        assert_eq!(page.attribute("fitToHeight"), Some("0"));
        assert!(find("oddHeader").text().unwrap().contains("演示数据"));
    }
    let photos = parts.keys().filter(|n| n.starts_with("xl/media/")).count();
    assert_eq!(photos, 36, "40 photos: two not come, one HEIC, one erased");
}

#[test]
fn text_that_looks_like_a_formula_stays_text() {
    let mut sample = sample();
    let hostile = ["=1+1", "+86 137", "-x", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0"];
    let mut n = 0;
    for row in &mut sample.timeline.rows {
        if let Row::Sighting(s) = row {
            s.note = Some(hostile[n % hostile.len()].into());
            n += 1;
        }
    }
    let cells = cells(&written(&sample), 1);
    for (i, text) in hostile.iter().enumerate() {
        assert_eq!(cells[&format!("O{}", i + 2)], ("s".to_owned(), (*text).to_owned()));
    }
}

#[test]
fn the_last_sheet_says_what_the_data_are() {
    let sample = sample();
    let cells = cells(&written(&sample), 6);
    let text: String = cells.values().map(|(_, value)| format!("{value}\n")).collect();
    for said in [
        "2026年8月1日 08:00（北京时间）",
        "示意，非测绘",
        "共18342个条目",
        &sample.timeline.log_root,
        "第6.1条",
    ] {
        assert!(text.contains(said), "{said}");
    }
}

#[test]
fn the_ending_chooses_the_format_and_an_unknown_one_names_those_allowed() {
    let of = |name: &str| Format::of(std::path::Path::new(name));
    assert_eq!(of("a.DOCX").unwrap(), Format::Docx);
    assert_eq!(of("台账.xlsx").unwrap(), Format::Xlsx);
    for name in ["a.doc", "a", "a.json", ".csv"] {
        let Err(Error::Invalid { field, message }) = of(name) else { panic!("{name} was taken") };
        assert_eq!(field, "output");
        assert!(message.contains("allowed: .docx .pdf .xlsx .csv .geojson"), "{message}");
    }
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample();
    for name in ["a.docx", "a.xlsx", "a.csv", "a.geojson"] {
        let path = folder.path().join(name);
        sample.with_pictures(|pictures| write_file(&path, &sample.timeline, pictures)).unwrap();
        assert!(path.metadata().unwrap().len() > 1000);
    }
    let nowhere = folder.path().join("no/such/a.csv");
    assert!(sample.with_pictures(|pictures| write_file(&nowhere, &sample.timeline, pictures)).is_err());
    std::fs::create_dir(folder.path().join("folder.csv")).unwrap();
    let taken = folder.path().join("folder.csv");
    assert!(sample.with_pictures(|pictures| write_file(&taken, &sample.timeline, pictures)).is_err());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "no part file is left: {left:?}");
}

/// LibreOffice must open it; the pages are left in the target folder to be looked at.
#[test]
fn libreoffice_prints_it() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ledger");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("ledger.xlsx");
    let sample = sample();
    let at = std::time::Instant::now();
    sample.with_pictures(|pictures| write_file(&path, &sample.timeline, pictures)).unwrap();
    println!("excel ledger of 100 sightings and 36 photos: {:?}", at.elapsed());
    let pdf = crate::document_docx::to_pdf(&path);
    let text =
        Command::new("pdftotext").args(["-layout"]).arg(&pdf).arg("-").output().expect("poppler-utils");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("2026-07-01"), "dates are dates");
    assert!(text.contains("演示数据"));
}
