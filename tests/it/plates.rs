//! The printed plates: what hangs at a waypoint can be read by people and by a phone.

use std::collections::BTreeSet;
use std::process::Command;

use jijia::lake::load::embedded;

fn tool(name: &str, arguments: &[&str]) -> Vec<u8> {
    let out = Command::new(name).args(arguments).output().expect("poppler-utils is installed by tests/run");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn every_waypoint_has_its_plate_whose_code_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let pdf = folder.path().join("plates.pdf");
    let path = pdf.to_str().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_jijia"))
        .args(["plates", "-o", path, "--base", "https://hu.example/"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let place = embedded();
    let text = String::from_utf8(tool("pdftotext", &["-layout", path, "-"])).unwrap();
    for waypoint in &place.waypoints {
        assert!(text.contains(&waypoint.code) && text.contains(&waypoint.name), "{text}");
    }
    assert!(text.contains("示意, 非测绘"), "an illustrative place says so");
    let about = String::from_utf8(tool("pdfinfo", &[path])).unwrap();
    assert!(about.contains("Pages:           2") && about.contains("A4"), "{about}");

    // As a phone reads them, one by one, once the sheet is cut.
    let mut read = BTreeSet::new();
    let stem = folder.path().join("sheet");
    tool("pdftoppm", &["-gray", "-r", "100", "-png", path, stem.to_str().unwrap()]);
    for n in 1..=2 {
        let sheet = image::open(folder.path().join(format!("sheet-{n}.png"))).unwrap().to_luma8();
        let (width, height) = (sheet.width() / 2, sheet.height() / 2);
        for (x, y) in [(0, 0), (width, 0), (0, height), (width, height)] {
            let grey = |px: usize, py: usize| sheet.get_pixel(x + px as u32, y + py as u32).0[0];
            let mut cut = rqrr::PreparedImage::prepare_from_greyscale(width as usize, height as usize, grey);
            read.extend(cut.detect_grids().iter().map(|grid| grid.decode().unwrap().1));
        }
    }
    let expected: BTreeSet<String> =
        place.waypoints.iter().map(|w| format!("https://hu.example/m#w={}", w.code)).collect();
    assert_eq!(read, expected);
}

#[test]
fn an_address_that_no_phone_can_open_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pdf = folder.path().join("plates.pdf");
    let refused = Command::new(env!("CARGO_BIN_EXE_jijia"))
        .args(["plates", "-o", pdf.to_str().unwrap(), "--base", "http://192.168.1.20:8080"])
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(2) && said.contains("base: ") && said.contains("not https"),
        "{said}"
    );
    assert!(!pdf.exists());
}
