//! Formats that are not taken: their names for the message, and their signs inside a file that is also a picture.

use memchr::{memchr_iter, memmem};

/// What the bytes look like, for a person to read.
pub(in crate::patrol) fn name_of(bytes: &[u8]) -> &'static str {
    const SIGNS: [(&[u8], &str); 17] = [
        (b"\xff\xd8\xff", "a JPEG"),
        (b"\x89PNG\r\n\x1a\n", "a PNG"),
        (b"\x89PNG", "a damaged PNG"),
        (b"GIF8", "a GIF"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"PK\x05\x06", "a ZIP archive"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf", "a 7z archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"BM", "a BMP"),
        (b"\x7fELF", "a program"),
        (b"MZ", "a program"),
        (b"RIFF", "a RIFF file"),
        (b"<?php", "PHP"),
    ];
    if bytes.is_empty() {
        return "an empty file";
    }
    if let Some((_, name)) = SIGNS.iter().find(|(sign, _)| bytes.starts_with(sign)) {
        return name;
    }
    match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(b"avif" | b"avis")) => return "an AVIF",
        (Some(b"ftyp"), _) => return "an MP4 video or another ISO media file",
        _ => {}
    }
    let head = bytes[..bytes.len().min(1024)].to_ascii_lowercase();
    let has = |sign: &[u8]| memmem::find(&head, sign).is_some();
    if has(b"<svg") {
        "an SVG"
    } else if has(b"<html") || has(b"<!doctype html") || has(b"<script") {
        "HTML"
    } else if is_text(&head) {
        "text"
    } else {
        "data of an unknown kind"
    }
}

fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The cut at 1024 bytes may fall inside a character.
        Err(e) => e.error_len().is_none(),
    };
    valid && !head.iter().any(|&b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c))
}

/// As what else another program would open the file. Readers of ZIP look for its directory from the end, readers of PDF
/// for its header in the first 1024 bytes, browsers that guess for markup.
pub(in crate::patrol) fn second_format(bytes: &[u8]) -> Option<&'static str> {
    if has_zip_directory(bytes) {
        Some("a ZIP archive")
    } else if memmem::find(&bytes[..bytes.len().min(1024)], b"%PDF-").is_some() {
        Some("a PDF")
    } else {
        markup(bytes)
    }
}

/// A ZIP's end record (APPNOTE 4.3.16) in the last 64 KiB, with its directory right before it.
fn has_zip_directory(bytes: &[u8]) -> bool {
    let from = bytes.len().saturating_sub(22 + 65_535);
    memmem::find_iter(&bytes[from..], b"PK\x05\x06").any(|found| {
        let end_record = from + found;
        let directory_len = super::le_u32(bytes, end_record + 12).and_then(|n| usize::try_from(n).ok());
        let directory_at = directory_len.and_then(|n| end_record.checked_sub(n));
        directory_at.is_some_and(|at| bytes[at..].starts_with(b"PK\x01\x02"))
    })
}

/// Markup that runs. The signs are long enough not to turn up by chance in millions of photos.
fn markup(bytes: &[u8]) -> Option<&'static str> {
    const SIGNS: [(&[u8], &str); 4] =
        [(b"<script", "a script"), (b"<!doctype html", "HTML"), (b"<?php ", "PHP"), (b"<?php\n", "PHP")];
    memchr_iter(b'<', bytes).find_map(|at| {
        let starts =
            |sign: &[u8]| bytes[at..].get(..sign.len()).is_some_and(|b| b.eq_ignore_ascii_case(sign));
        SIGNS.iter().find(|(sign, _)| starts(sign)).map(|(_, name)| *name)
    })
}
