//! The Word brief: what WPS and Word read in its XML, what the page says, and that LibreOffice opens it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use jijia::casework::EvidenceLevel;
use jijia::document::brief::{Block, Brief};
use jijia::document::plates::{MAX_PLATES, Plate};
use jijia::document::{Pictures, docx, write_file};
use jijia::evidence::timeline::{PhotoRef, Row, Summary};
use roxmltree::{Document, Node};

use crate::sample::{Sample, sample};

const W: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";

fn written(sample: &Sample) -> BTreeMap<String, Vec<u8>> {
    let brief = Brief::new(&sample.timeline);
    let mut out = Cursor::new(Vec::new());
    sample.with_pictures(|pictures| docx::write(&brief, &sample.timeline, pictures, &mut out)).unwrap();
    parts(out.into_inner())
}

pub fn parts(file: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut parts = BTreeMap::new();
    for i in 0..archive.len() {
        let mut part = archive.by_index(i).unwrap();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).unwrap();
        assert!(parts.insert(part.name().to_owned(), bytes).is_none(), "{} is there twice", part.name());
    }
    parts
}

pub fn xml<'a>(parts: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Document<'a> {
    let text = std::str::from_utf8(&parts[name]).unwrap();
    Document::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn all<'a, 'i>(doc: &'a Document<'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    doc.descendants().filter(move |n| n.tag_name().name() == name)
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|n| n.tag_name().name() == name)
}

fn text_of(doc: &Document) -> String {
    all(doc, "t").filter_map(|t| t.text()).collect()
}

fn is_cjk(c: char) -> bool {
    ('\u{2E80}'..='\u{9FFF}').contains(&c) || ('\u{FF00}'..='\u{FFEF}').contains(&c)
}

#[test]
fn every_part_is_well_formed_and_of_its_type() {
    let parts = written(&sample());
    for name in parts.keys().filter(|n| n.ends_with(".xml") || n.ends_with(".rels")) {
        xml(&parts, name);
    }
    let types = xml(&parts, "[Content_Types].xml");
    let by_ending: BTreeMap<&str, &str> = all(&types, "Default")
        .map(|d| (d.attribute("Extension").unwrap(), d.attribute("ContentType").unwrap()))
        .collect();
    let overrides: BTreeSet<&str> =
        all(&types, "Override").map(|o| o.attribute("PartName").unwrap()).collect();
    for over in &overrides {
        assert!(parts.contains_key(&over[1..]), "{over} has a type and is not there");
    }
    let media: Vec<_> = parts.iter().filter(|(name, _)| name.starts_with("word/media/")).collect();
    assert_eq!(
        media.len(),
        36 + 3,
        "40 photos: two not come, one HEIC, one erased; map, chart and checkpoint"
    );
    for (name, bytes) in media {
        let kind = by_ending[name.rsplit_once('.').unwrap().1];
        let head: &[u8] = if kind == "image/jpeg" { &[0xFF, 0xD8, 0xFF] } else { b"\x89PNG" };
        assert!(bytes.starts_with(head), "{name} is no {kind}");
    }
    let rels = xml(&parts, "word/_rels/document.xml.rels");
    let targets: BTreeMap<&str, &str> = all(&rels, "Relationship")
        .map(|r| (r.attribute("Id").unwrap(), r.attribute("Target").unwrap()))
        .collect();
    for target in targets.values() {
        assert!(parts.contains_key(&format!("word/{target}")), "{target} is named and not there");
    }
    let body = xml(&parts, "word/document.xml");
    let named =
        body.descendants().flat_map(|n| n.attributes()).filter(|a| ["embed", "id"].contains(&a.name()));
    let named: Vec<&str> = named.filter(|a| a.namespace().is_some()).map(|a| a.value()).collect();
    assert!(named.len() > 39);
    for id in named {
        assert!(targets.contains_key(id), "{id} leads nowhere");
    }
}

#[test]
fn tables_have_their_widths_in_the_grid_and_repeat_their_head() {
    let parts = written(&sample());
    let body = xml(&parts, "word/document.xml");
    let tables: Vec<Node> = all(&body, "tbl").collect();
    assert_eq!(tables.len(), 3, "sightings, photos, gaps");
    for table in tables {
        let grid: Vec<u32> = child(table, "tblGrid")
            .unwrap()
            .children()
            .map(|c| c.attribute((W, "w")).unwrap().parse().unwrap())
            .collect();
        let total: u32 = grid.iter().sum();
        assert!((8830..=8844).contains(&total), "grid of {total} twips in a type area of 8844");
        assert_eq!(
            child(child(table, "tblPr").unwrap(), "tblLayout").unwrap().attribute((W, "type")),
            Some("fixed")
        );
        let rows: Vec<Node> = table.children().filter(|n| n.tag_name().name() == "tr").collect();
        for (i, row) in rows.iter().enumerate() {
            let widths: Vec<u32> = row
                .children()
                .filter(|n| n.tag_name().name() == "tc")
                .map(|c| {
                    child(child(c, "tcPr").unwrap(), "tcW")
                        .unwrap()
                        .attribute((W, "w"))
                        .unwrap()
                        .parse()
                        .unwrap()
                })
                .collect();
            assert_eq!(widths, grid, "cells as the grid");
            let property = child(*row, "trPr").unwrap();
            assert!(child(property, "cantSplit").is_some());
            let head = child(property, "tblHeader").is_some();
            assert_eq!(head, i == 0 && grid.len() > 2, "only data tables have a head, and only one");
        }
    }
}

#[test]
fn every_chinese_run_names_its_font_for_wps() {
    let parts = written(&sample());
    for name in ["word/document.xml", "word/header1.xml", "word/footer1.xml", "word/footer2.xml"] {
        let doc = xml(&parts, name);
        let fonts = xml(&parts, "word/fontTable.xml");
        let known: BTreeSet<&str> = all(&fonts, "font").map(|f| f.attribute((W, "name")).unwrap()).collect();
        let mut seen = 0;
        for run in all(&doc, "r") {
            let text: String =
                run.children().filter(|n| n.tag_name().name() == "t").filter_map(|t| t.text()).collect();
            if !text.chars().any(is_cjk) && !text.contains('—') {
                continue;
            }
            seen += 1;
            let font =
                child(run, "rPr").and_then(|p| child(p, "rFonts")).and_then(|f| f.attribute((W, "eastAsia")));
            assert!(font.is_some_and(|f| known.contains(f)), "{name}: {text}");
        }
        assert!(seen > 0, "{name}");
    }
}

#[test]
fn pictures_are_told_apart_and_described() {
    let parts = written(&sample());
    let body = xml(&parts, "word/document.xml");
    let mut ids = BTreeSet::new();
    for picture in all(&body, "docPr") {
        assert!(ids.insert(picture.attribute("id").unwrap()));
        assert!(!picture.attribute("descr").unwrap().is_empty());
    }
    assert_eq!(ids.len(), 36 + 3);
    // 72 × 43 mm and 150 × 105 mm in EMU.
    for extent in all(&body, "extent") {
        let [cx, cy] = ["cx", "cy"].map(|a| extent.attribute(a).unwrap().parse::<u32>().unwrap());
        assert!(cx <= 150 * 36_000 && cy <= 105 * 36_000 && cx > 30 * 36_000, "{cx} × {cy}");
    }
}

#[test]
fn the_page_is_that_of_the_standard() {
    let parts = written(&sample());
    let body = xml(&parts, "word/document.xml");
    let section = all(&body, "sectPr").last().unwrap();
    let of = |name, attribute| child(section, name).unwrap().attribute((W, attribute)).unwrap().to_owned();
    assert_eq!((of("pgSz", "w"), of("pgSz", "h")), ("11906".into(), "16838".into()));
    let margins = ["top", "bottom", "left", "right"].map(|m| of("pgMar", m));
    assert_eq!(margins, ["2098", "1984", "1588", "1474"]);
    let order: Vec<&str> = section.children().map(|n| n.tag_name().name()).collect();
    let references = order.iter().filter(|n| n.ends_with("Reference")).count();
    assert_eq!(references, 4, "mark and page number, odd and even");
    assert!(order[..4].iter().all(|n| n.ends_with("Reference")), "the schema wants references first");
    assert_eq!(section.parent_element().unwrap().last_element_child().unwrap(), section);
    assert!(all(&xml(&parts, "word/settings.xml"), "evenAndOddHeaders").next().is_some());
    assert_eq!(text_of(&xml(&parts, "word/header1.xml")), "演示数据");
    assert_eq!(text_of(&xml(&parts, "word/footer1.xml")), "— 1 —");
    let core = xml(&parts, "docProps/core.xml");
    let title = core.descendants().find(|n| n.tag_name().name() == "title").unwrap();
    assert_eq!(title.text(), Some("吉家湖 3号排口 证据时间线"));
}

#[test]
fn without_demo_no_mark_and_without_pictures_words() {
    let mut sample = sample();
    sample.timeline.demo = false;
    let none = Pictures { map: None, chart: None, photo: &|_| None };
    let mut out = Cursor::new(Vec::new());
    docx::write(&Brief::new(&sample.timeline), &sample.timeline, &none, &mut out).unwrap();
    let parts = parts(out.into_inner());
    assert!(!parts.contains_key("word/header1.xml"));
    let body = xml(&parts, "word/document.xml");
    assert_eq!(all(&body, "drawing").count(), 1, "the checkpoint is drawn from the timeline itself");
    let text = text_of(&body);
    assert_eq!(text.matches("（图未绘制）").count(), 2);
    assert_eq!(text.matches("原件已封存，预览未生成").count(), 36);
    assert_eq!(text.matches("照片未到").count(), 2);
    assert_eq!(text.matches("原件已封存，此格式无预览").count(), 1);
    assert!(!text.contains("演示数据"));
}

#[test]
fn the_brief_says_what_is_known_and_no_more() {
    let sample = sample();
    let n = &sample.timeline.summary;
    let brief = Brief::new(&sample.timeline);
    let parts = written(&sample);
    let text = text_of(&xml(&parts, "word/document.xml"));
    assert_eq!(brief.title, "吉家湖 3号排口 证据时间线");
    assert_eq!(brief.date, "2026年8月1日");
    assert!(
        brief.lead.starts_with("2026年7月1日至2026年7月31日，吉家湖3号排口（JJH-PK-0003）共记录发现99次")
    );
    assert!(brief.lead.contains(&format!("旱天{}天，雨天{}天", n.dry_flow_days, n.wet_flow_days)));
    assert!(brief.lead.contains(&format!("E2（疑似污水混入）{}次", n.levels[2])));
    assert!(!text.contains("混接"), "no finding below E4 says 混接");
    for said in [
        "示意，非测绘",
        "截止时间：2026年8月1日 08:00（北京时间）前收到的数据",
        "共18342个条目",
        &sample.timeline.log_root,
        "雨量取自JJH-YL1",
        "已撤回的只列出，不计数",
        "发现前72小时内降雨达到2.5 mm为雨天",
        "第6.1条",
        "报告内容已依法删除",
        "已撤回：误报，为洒水车排水",
        "更正（",
        "无定位（手机定位未开启）",
        "传感器静默",
        "仍在持续",
        "演示数据：本材料由模拟数据生成",
    ] {
        assert!(text.contains(said), "{said}");
    }
    let headings: Vec<&str> = brief.sections.iter().map(|s| s.heading.as_str()).collect();
    assert_eq!(headings, ["一、概况", "二、发现记录", "三、照片", "四、缺口与说明", "五、数据说明"]);
    let tables = brief.sections.iter().flat_map(|s| &s.blocks).filter_map(|b| match b {
        Block::Table(table) => Some(table),
        _ => None,
    });
    for table in tables {
        assert_eq!(table.columns.iter().map(|c| c.permille).sum::<u32>(), 1000, "{}", table.caption);
        assert!(table.rows.iter().all(|r| r.len() == table.columns.len()));
    }
}

#[test]
fn a_note_that_is_hostile_stays_text() {
    let mut sample = sample();
    let hostile = "<w:t>&amp;\"'\u{1}\u{b}\u{fffe}]]> =1+1\r\n第二行";
    for row in &mut sample.timeline.rows {
        if let Row::Sighting(s) = row {
            s.note = Some(hostile.into());
            s.outfall = Some(crate::sample::named("\"<&>\u{2}", "\"排口\""));
        }
    }
    sample.timeline.filter_words = hostile.into();
    let parts = written(&sample);
    for name in ["word/document.xml", "docProps/core.xml"] {
        xml(&parts, name);
    }
    let text = text_of(&xml(&parts, "word/document.xml"));
    assert!(text.contains("备注：<w:t>&amp;\"']]> =1+1"), "kept as it was typed");
}

#[test]
fn nothing_reported_is_not_nothing_there() {
    let mut timeline = sample().timeline;
    timeline.rows.retain(|row| !matches!(row, Row::Sighting(_)));
    timeline.summary = Summary::of(&timeline.rows);
    let brief = Brief::new(&timeline);
    assert!(brief.lead.ends_with("没有收到发现上报。没有上报不等于没有问题，未巡查的时段见第四部分。"));
    let [.., records, photos, gaps, _] = &brief.sections[..] else { panic!("five sections") };
    assert_eq!(records.blocks, [Block::Paragraph("没有发现记录。".into())]);
    assert_eq!(photos.blocks, [Block::Paragraph("没有现场照片。".into())]);
    assert!(gaps.blocks.iter().any(|b| matches!(b, Block::Table(t) if t.rows.len() == 6)));
}

#[test]
fn of_too_many_photos_the_strongest_are_shown_and_it_is_said() {
    let mut timeline = sample().timeline;
    let mut strong = BTreeSet::new();
    let mut n = 0;
    for row in &mut timeline.rows {
        let Row::Sighting(s) = row else { continue };
        let photo = |i: usize| PhotoRef {
            duplicate: false,
            sha256: format!("{n:03}{i:061}"),
            stored: true,
            erased: false,
            preview: true,
            width: None,
            height: None,
        };
        s.photos = (0..2).map(photo).collect();
        s.level = Some(if n % 10 == 9 { EvidenceLevel::E2 } else { EvidenceLevel::E0 });
        if n % 10 == 9 && !s.erased {
            strong.extend(s.photos.iter().map(|p| p.sha256.clone()));
        }
        n += 1;
    }
    let brief = Brief::new(&timeline);
    let plates: Vec<&Plate> = brief.sections[2]
        .blocks
        .iter()
        .flat_map(|b| if let Block::Plates(plates) = b { plates.as_slice() } else { &[] })
        .collect();
    assert_eq!(plates.len(), MAX_PLATES);
    let shown: BTreeSet<String> = plates.iter().map(|p| p.sha256.clone()).collect();
    assert!(strong.len() >= 18 && strong.is_subset(&shown));
    assert!(plates.is_sorted_by_key(|p| &p.sha256), "in the order of the rows");
    let Block::Paragraph(said) = &brief.sections[2].blocks[0] else { panic!("words first") };
    assert!(said.contains("此处按证据等级选列120张，其余见Excel台账"));
}

#[test]
fn the_same_timeline_gives_the_same_words() {
    let (one, two) = (sample(), sample());
    assert_eq!(Brief::new(&one.timeline), Brief::new(&two.timeline));
}

/// LibreOffice must open it, and the pages are left in the target folder to be looked at.
#[test]
fn libreoffice_prints_it() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("document");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("brief.docx");
    let sample = sample();
    let at = std::time::Instant::now();
    sample.with_pictures(|pictures| write_file(&path, &sample.timeline, pictures)).unwrap();
    println!("word brief of 100 sightings and 40 photos: {:?}", at.elapsed());
    let pdf = to_pdf(&path);
    let info = Command::new("pdfinfo").arg(&pdf).output().expect("poppler-utils");
    let info = String::from_utf8(info.stdout).unwrap();
    let pages: u32 =
        info.lines().find_map(|l| l.strip_prefix("Pages:")).and_then(|p| p.trim().parse().ok()).unwrap();
    assert!((10..60).contains(&pages), "{pages} pages");
    assert!(info.contains("595.3 x 841.9") || info.contains("A4"), "{info}");
}

/// The pages as LibreOffice lays them out, beside `path`.
pub fn to_pdf(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap();
    // A profile of its own: a running office would take the file and answer nothing.
    let profile = format!("-env:UserInstallation=file://{}", folder.join("office").display());
    let office = Command::new("soffice")
        .env("FONTCONFIG_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/office_fonts.conf"))
        .args([&profile, "--headless", "--convert-to", "pdf", "--outdir"])
        .arg(folder)
        .arg(path)
        .output()
        .expect("soffice is installed by tests/run");
    let pdf = path.with_extension("pdf");
    assert!(office.status.success() && pdf.exists(), "{office:?}");
    pdf
}

/// What a phone reads from the print.
#[test]
fn the_code_is_read_back_as_the_checkpoint() {
    let sample = sample();
    let text = sample.timeline.checkpoint.as_ref().unwrap().to_string();
    let drawn = jijia::picture::to_rgb(&jijia::picture::code(&text).unwrap(), 400).unwrap();
    let (width, height) = (drawn.width() as usize, drawn.height() as usize);
    let grey = |x: usize, y: usize| drawn.get_pixel(x as u32, y as u32).0[0];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    assert_eq!(grids[0].decode().unwrap().1, text);
    jijia::picture::code(&"x".repeat(2332)).unwrap_err();
}
