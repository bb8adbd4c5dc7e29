//! The PDF brief: its fonts, its words, what it does with hostile notes and broken photos.

use std::path::Path;
use std::process::Command;

use jijia::document::brief::Brief;
use jijia::document::pdf::{self, PdfJob, PdfPictures};
use jijia::error::Error;
use jijia::evidence::timeline::Row;
use jijia::picture::TimelinePictures;

use crate::sample::{Sample, sample};
use jijia::lake::load::embedded;

fn rendered(sample: &Sample) -> Vec<u8> {
    let pictures = TimelinePictures::of(&embedded(), &sample.timeline, Vec::new());
    let photo = |sha256: &str| sample.photos.get(sha256).cloned();
    let pictures =
        PdfPictures { map_svg: Some(&pictures.map_svg), chart_svg: Some(&pictures.chart_svg), photo: &photo };
    pdf::render(&Brief::new(&sample.timeline), &sample.timeline, &pictures, None).unwrap()
}

/// What `tool` of poppler-utils says of the PDF.
fn said(tool: &str, options: &[&str], pdf: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("brief.pdf");
    std::fs::write(&path, pdf).unwrap();
    let mut command = Command::new(tool);
    command.args(options).arg(&path);
    if tool == "pdftotext" {
        command.arg("-");
    }
    let out = command.output().expect("poppler-utils is installed by tests/run");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect()
}

/// The sample with its first rows alone, the first sighting's note replaced by `note`.
fn short(note: &str) -> Sample {
    let mut sample = sample();
    sample.timeline.rows.truncate(12);
    let first =
        sample.timeline.rows.iter_mut().find_map(|r| if let Row::Sighting(s) = r { Some(s) } else { None });
    first.unwrap().note = Some(note.to_owned());
    sample
}

#[test]
fn a_brief_of_a_hundred_sightings() {
    let sample = sample();
    let pdf = rendered(&sample);
    assert!(said("pdfinfo", &[], &pdf).contains("(A4)"));
    let fonts = said("pdffonts", &[], &pdf);
    let faces: Vec<&str> = fonts.lines().skip(2).collect();
    assert!(faces.len() >= 4, "{fonts}");
    for face in faces {
        // name with the subset's mark, type, encoding, emb sub uni
        assert!(face.as_bytes()[6] == b'+' && face.contains("yes yes yes"), "{face}");
    }
    let text = without_spaces(&said("pdftotext", &[], &pdf));
    let must = [
        "吉家湖3号排口证据时间线",
        "演示数据",
        "一、概况",
        "图1位置图",
        "五、数据说明",
        "—1—",
        "示意",
        "溶解氧",
    ];
    for words in must {
        assert!(text.contains(words), "{words} is not in the text");
    }
    assert!(text.contains(&sample.timeline.log_root), "the head hash is whole");
    assert!(text.matches("天气与等级").count() > 3, "the head is repeated on each page of the table");
    assert!(pdf.len() < 12_000_000, "{}", pdf.len());
}

#[test]
fn what_people_write_is_never_read_as_markup() {
    let note = r##"#eval("x") *bold* $a$ \\b _u_ @ref <label> `raw` #let"##;
    let text = without_spaces(&said("pdftotext", &[], &rendered(&short(note))));
    // Word by word: the reader of the PDF puts the lines of neighbouring cells between each other.
    for word in note.split(' ') {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn photos_that_cannot_be_decoded_give_way_to_words() {
    let mut sample = short("");
    let whole = without_spaces(&said("pdftotext", &[], &rendered(&sample)));
    assert!(!whole.contains("预览未生成"));
    for jpeg in sample.photos.values_mut() {
        jpeg.truncate(300);
    }
    let text = without_spaces(&said("pdftotext", &[], &rendered(&sample)));
    assert!(text.contains("预览未生成") && text.contains("五、数据说明"), "{text}");
}

#[test]
fn missing_characters_are_named() {
    let missing = |note| {
        let sample = short(note);
        pdf::missing_glyphs(&Brief::new(&sample.timeline), &sample.timeline, None).unwrap()
    };
    assert_eq!(missing("王玥、李喆、陈堃、刘珺、朱镕、周昇；m², ㎡, μg/L, Ⅴ, ⑳"), [] as [char; 0]);
    assert_eq!(missing("𠮷家湖🐟"), ['🐟', '𠮷']);
}

#[test]
fn a_job_is_rendered_as_the_command_does() {
    let sample = short("");
    let folder = tempfile::tempdir().unwrap();
    for (sha256, jpeg) in &sample.photos {
        std::fs::write(folder.path().join(sha256), jpeg).unwrap();
    }
    let output = folder.path().join("brief.pdf");
    let photo = |sha256: &str| Some(folder.path().join(sha256)).filter(|p| p.exists());
    let pictures = TimelinePictures::of(&embedded(), &sample.timeline, Vec::new());
    let drawn = (Some(pictures.map_svg), Some(pictures.chart_svg));
    let brief = Brief::new(&sample.timeline);
    let job = PdfJob::new(&brief, &sample.timeline, drawn, &photo, None, output.clone());
    let file = folder.path().join("job");
    std::fs::write(&file, serde_json::to_vec(&job).unwrap()).unwrap();
    pdf::child_main(&file).unwrap();
    assert_eq!(said("pdfimages", &["-list"], &std::fs::read(&output).unwrap()).matches("jpeg").count(), 4);
    // A program that fails leaves no job behind: it holds notes of reports.
    let failed = pdf::render_in_child(Path::new("false"), &job);
    assert!(failed.unwrap_err().to_string().contains("exit status: 1"));
    assert!(!folder.path().join("brief.pdf.job").exists());
    // A full disk is said as one, not as a fault of the program.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("brief.pdf.part")).unwrap();
    let full = pdf::render_in_child(Path::new(env!("CARGO_BIN_EXE_jijia")), &job);
    assert!(matches!(full, Err(Error::NoSpace(_))), "{full:?}");
}

#[test]
fn a_font_folder_that_is_not_there_is_named() {
    let sample = short("");
    let brief = Brief::new(&sample.timeline);
    let load = |folder: &Path| pdf::missing_glyphs(&brief, &sample.timeline, Some(folder));
    let error = load(Path::new("/nowhere/fonts")).unwrap_err().to_string();
    assert!(error.starts_with("documents.fonts_dir: /nowhere/fonts"), "{error}");
    // What is no font is passed over; what is one adds its characters.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.ttf"), "no font").unwrap();
    std::fs::write(folder.path().join("readme.txt"), "字体").unwrap();
    assert_eq!(load(folder.path()).unwrap(), [] as [char; 0]);
}
