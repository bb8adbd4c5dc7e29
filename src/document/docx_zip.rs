//! The parts of a Word file around the body, and the one pass over the body that mends what docx-rs 0.4.22 leaves
//! out: a `docPr` id and alternative text of its own for every picture, table heads that repeat, media with the
//! ending and content type of what they are.

use std::fmt::Write as _;
use std::io::{Seek, Write};

use docx_rs::XMLDocx;
use jiff::Timestamp;
use zip::CompressionMethod::{Deflated, Stored};
use zip::write::SimpleFileOptions;

use crate::error::{Error, Result};

/// What the parts need that the body does not hold.
pub(crate) struct Extras<'a> {
    /// Alternative text of the pictures in their order in the body.
    pub alts: &'a [String],
    /// The mark at the head of every page.
    pub mark: Option<&'a str>,
    /// Core property.
    pub title: &'a str,
    /// Core property.
    pub subject: &'a str,
    /// Core property.
    pub creator: &'a str,
    /// Core property: the cut-off, so that the same timeline gives the same file.
    pub created: Timestamp,
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const WORD_TYPE: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml";
const WORD_NS: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";

/// Parts under `word/` that are the same in every brief: name, kind, text. The id of each is `rId` and its place.
const FIXED: [(&str, &str, &str); 5] = [
    ("styles.xml", "styles", include_str!("word/styles.xml")),
    ("settings.xml", "settings", include_str!("word/settings.xml")),
    ("fontTable.xml", "fontTable", include_str!("word/fontTable.xml")),
    ("footer1.xml", "footer", include_str!("word/footer_odd.xml")),
    ("footer2.xml", "footer", include_str!("word/footer_even.xml")),
];

/// Writes the whole file.
pub(crate) fn write(docx: XMLDocx, extras: &Extras<'_>, out: impl Write + Seek) -> Result<()> {
    let body = String::from_utf8(docx.document).map_err(|e| Error::Internal(format!("word file: {e}")))?;
    let body = mend_body(&body, extras);
    let media: Vec<Media> = docx.media.into_iter().map(Media::new).collect();
    let mut file = zip::ZipWriter::new(out);
    let mut part = |name: &str, method, bytes: &[u8]| -> Result<()> {
        file.start_file(name, SimpleFileOptions::default().compression_method(method))?;
        Ok(file.write_all(bytes)?)
    };
    part("[Content_Types].xml", Deflated, content_types(extras).as_bytes())?;
    part("_rels/.rels", Deflated, package_rels().as_bytes())?;
    part("docProps/core.xml", Deflated, core(extras).as_bytes())?;
    part("word/document.xml", Deflated, body.as_bytes())?;
    part("word/_rels/document.xml.rels", Deflated, document_rels(&media, extras).as_bytes())?;
    for (name, _, text) in FIXED {
        part(&format!("word/{name}"), Deflated, text.as_bytes())?;
    }
    if let Some(mark) = extras.mark {
        part("word/header1.xml", Deflated, header(mark).as_bytes())?;
    }
    // Photos are compressed already.
    for m in &media {
        part(&format!("word/media/{}.{}", m.id, m.ending), Stored, &m.bytes)?;
    }
    file.finish()?;
    Ok(())
}

/// A picture's file. docx-rs gives it the id of its relationship.
struct Media {
    id: String,
    ending: &'static str,
    bytes: Vec<u8>,
}

impl Media {
    fn new((id, bytes): (String, Vec<u8>)) -> Self {
        let ending = if bytes.starts_with(&[0xFF, 0xD8]) { "jpeg" } else { "png" };
        Self { id, ending, bytes }
    }
}

/// The body with its pictures told apart, heads that repeat, and the page of GB/T 9704-2012 in place of docx-rs's.
fn mend_body(body: &str, extras: &Extras<'_>) -> String {
    const PICTURE: &str = r#"<wp:docPr id="1" name="Figure" />"#;
    let mut mended = String::with_capacity(body.len() + extras.alts.len() * 300);
    let mut pieces = body.split(PICTURE);
    mended.push_str(pieces.next().unwrap_or_default());
    for (i, piece) in pieces.enumerate() {
        let (id, alt) = (i + 1, extras.alts.get(i).map_or("", String::as_str));
        let _ = write!(mended, r#"<wp:docPr id="{id}" name="图片{id}" descr="{}"/>"#, escape(alt));
        mended.push_str(piece);
    }
    let mended = mended.replace("<w:trPr />", "<w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>");
    match mended.rfind("<w:sectPr") {
        Some(at) => format!("{}{}</w:body></w:document>", &mended[..at], section(extras)),
        None => mended,
    }
}

/// A4, type area 156 × 225 mm with 37 mm above and 28 mm left (5.2.1); the page number 7 mm below it (7.5).
fn section(extras: &Extras<'_>) -> String {
    let mut head = String::new();
    if extras.mark.is_some() {
        for kind in ["default", "even"] {
            let _ = write!(head, r#"<w:headerReference w:type="{kind}" r:id="rIdMark"/>"#);
        }
    }
    format!(
        r#"<w:sectPr>{head}<w:footerReference w:type="default" r:id="rId4"/><w:footerReference w:type="even" r:id="rId5"/><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="2098" w:right="1474" w:bottom="1984" w:left="1588" w:header="1134" w:footer="1191" w:gutter="0"/><w:cols w:space="425"/></w:sectPr>"#
    )
}

fn header(mark: &str) -> String {
    let fonts = r#"<w:rFonts w:ascii="黑体" w:hAnsi="黑体" w:eastAsia="黑体"/>"#;
    let run =
        format!(r#"<w:r><w:rPr>{fonts}<w:color w:val="C00000"/></w:rPr><w:t>{}</w:t></w:r>"#, escape(mark));
    let paragraph = format!(r#"<w:p><w:pPr><w:pStyle w:val="Header"/></w:pPr>{run}</w:p>"#);
    format!(r#"{DECLARATION}<w:hdr xmlns:w="{WORD_NS}">{paragraph}</w:hdr>"#)
}

fn content_types(extras: &Extras<'_>) -> String {
    let mut types = String::new();
    for (ending, kind) in [
        ("rels", "application/vnd.openxmlformats-package.relationships+xml"),
        ("xml", "application/xml"),
        ("jpeg", "image/jpeg"),
        ("png", "image/png"),
    ] {
        let _ = write!(types, r#"<Default Extension="{ending}" ContentType="{kind}"/>"#);
    }
    let mut part = |name: &str, kind: &str| {
        let _ = write!(types, r#"<Override PartName="/{name}" ContentType="{kind}"/>"#);
    };
    part("docProps/core.xml", "application/vnd.openxmlformats-package.core-properties+xml");
    part("word/document.xml", &format!("{WORD_TYPE}.document.main+xml"));
    for (name, kind, _) in FIXED {
        part(&format!("word/{name}"), &format!("{WORD_TYPE}.{kind}+xml"));
    }
    if extras.mark.is_some() {
        part("word/header1.xml", &format!("{WORD_TYPE}.header+xml"));
    }
    format!(r#"{DECLARATION}<Types xmlns="{PACKAGE}/content-types">{types}</Types>"#)
}

fn rels(all: impl IntoIterator<Item = (String, String, String)>) -> String {
    let mut text = format!(r#"{DECLARATION}<Relationships xmlns="{PACKAGE}/relationships">"#);
    for (id, kind, target) in all {
        let _ = write!(text, r#"<Relationship Id="{id}" Type="{kind}" Target="{target}"/>"#);
    }
    text + "</Relationships>"
}

fn package_rels() -> String {
    rels([
        ("rId1".to_owned(), format!("{OFFICE}/officeDocument"), "word/document.xml".to_owned()),
        (
            "rId2".to_owned(),
            format!("{PACKAGE}/relationships/metadata/core-properties"),
            "docProps/core.xml".to_owned(),
        ),
    ])
}

fn document_rels(media: &[Media], extras: &Extras<'_>) -> String {
    let fixed = FIXED.iter().enumerate().map(|(i, (name, kind, _))| {
        (format!("rId{}", i + 1), format!("{OFFICE}/{kind}"), (*name).to_owned())
    });
    let mark =
        extras.mark.map(|_| ("rIdMark".to_owned(), format!("{OFFICE}/header"), "header1.xml".to_owned()));
    let pictures = media
        .iter()
        .map(|m| (m.id.clone(), format!("{OFFICE}/image"), format!("media/{}.{}", m.id, m.ending)));
    rels(fixed.chain(mark).chain(pictures))
}

fn core(extras: &Extras<'_>) -> String {
    let dublin = "http://purl.org/dc";
    let created = extras.created.strftime("%Y-%m-%dT%H:%M:%SZ");
    let time = |word| format!(r#"<dcterms:{word} xsi:type="dcterms:W3CDTF">{created}</dcterms:{word}>"#);
    let (title, subject, creator) = (escape(extras.title), escape(extras.subject), escape(extras.creator));
    format!(
        r#"{DECLARATION}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" xmlns:dc="{dublin}/elements/1.1/" xmlns:dcterms="{dublin}/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{title}</dc:title><dc:subject>{subject}</dc:subject><dc:creator>{creator}</dc:creator><dc:language>zh-CN</dc:language><cp:lastModifiedBy>{creator}</cp:lastModifiedBy>{}{}</cp:coreProperties>"#,
        time("created"),
        time("modified")
    )
}

fn escape(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Without the characters XML 1.0 cannot hold: one of them in a note, and Word refuses the whole file.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter(
            |&c| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}'),
        )
        .collect()
}
