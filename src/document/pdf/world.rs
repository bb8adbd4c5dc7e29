//! What the template may see: its own text, the data, the pictures, the fonts. No disk, no network, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use super::internal;
use crate::error::{Error, Result};
use crate::picture::{code, fonts};

/// Families in the order they are taken, by the role the standard gives them (GB/T 9704-2012, 7.3).
const ROLES: [(&str, &[&str]); 5] = [
    (
        "body",
        &["仿宋_GB2312", "FangSong_GB2312", "仿宋", "FangSong", "STFangsong", "FandolFang", "Noto Serif SC"],
    ),
    ("title", &["方正小标宋简体", "FZXiaoBiaoSong-B05S", "FZXiaoBiaoSong-B05", "Noto Serif SC"]),
    ("hei", &["黑体", "SimHei", "Noto Sans SC", "Noto Serif SC"]),
    ("kai", &["楷体_GB2312", "KaiTi_GB2312", "楷体", "KaiTi", "Jijia Kai", "Noto Serif SC"]),
    ("song", &["宋体", "SimSun", "Noto Serif SC"]),
];

/// The fonts of one rendering.
pub struct Fonts {
    faces: Vec<Font>,
    book: LazyHash<FontBook>,
}

impl Fonts {
    /// The embedded fonts, and those of `folder`. A file there that is no font is passed over.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let embedded = [fonts::SANS, fonts::SERIF, fonts::SERIF_BOLD, fonts::KAI];
        let mut faces: Vec<Font> =
            embedded.into_iter().flat_map(|data| Font::iter(Bytes::new(data))).collect();
        for path in folder.map(font_files).transpose()?.unwrap_or_default() {
            faces.extend(Font::iter(Bytes::new(std::fs::read(path)?)));
        }
        let book = LazyHash::new(FontBook::from_fonts(&faces));
        Ok(Self { faces, book })
    }

    /// For each role the families that are there.
    pub fn families(&self) -> Value {
        let there = |names: &[&str]| -> Vec<String> {
            names.iter().map(|n| n.to_lowercase()).filter(|n| self.book.contains_family(n)).collect()
        };
        ROLES.iter().map(|(role, names)| ((*role).to_owned(), json!(there(names)))).collect::<Value>()
    }

    /// Those of `text` that no face has a glyph for.
    pub fn missing(&self, text: &BTreeSet<char>) -> Vec<char> {
        let drawn = |c: &char| !c.is_control() && !c.is_whitespace() && *c != '\u{200b}';
        let has = |c: char| self.faces.iter().any(|f| f.info().coverage.contains(c as u32));
        text.iter().copied().filter(|c| drawn(c) && !has(*c)).collect()
    }
}

fn font_files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let refuse =
        |e: std::io::Error| Error::invalid("documents.fonts_dir", format!("{}: {e}", folder.display()));
    let is_font = |p: &Path| {
        let ending = p.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        matches!(ending.as_str(), "ttf" | "otf" | "ttc")
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refuse)? {
        paths.push(entry.map_err(refuse)?.path());
    }
    paths.retain(|p| is_font(p));
    paths.sort();
    Ok(paths)
}

/// The template's world.
pub struct TemplateWorld {
    library: LazyHash<Library>,
    fonts: Fonts,
    main: Source,
    files: BTreeMap<String, Bytes>,
}

impl TemplateWorld {
    /// The world of a template, a text of this program.
    pub fn new(fonts: Fonts, template: &str) -> Result<Self> {
        let path = VirtualPath::new("main.typ").map_err(|e| internal(format!("{e:?}")))?;
        let main = FileId::new(RootedPath::new(VirtualRoot::Project, path));
        Ok(Self {
            library: LazyHash::new(Library::default()),
            fonts,
            main: Source::new(main, template.to_owned()),
            files: BTreeMap::new(),
        })
    }

    /// The fonts it draws with.
    pub fn fonts(&self) -> &Fonts {
        &self.fonts
    }

    /// Makes a drawing the file of the blocks of `kind`.
    pub fn add_svg(&mut self, data: &mut Value, kind: &str, svg: Option<&str>) {
        let Some(svg) = svg else { return };
        let file = format!("{kind}.svg");
        self.files.insert(file.clone(), Bytes::from_string(svg.to_owned()));
        each_block(data, kind, |block| block["file"] = json!(file));
    }

    /// Makes each text that is to be read by a machine a drawing. One that does not fit is left out: it stands in words.
    pub fn add_codes(&mut self, data: &mut Value) {
        let files = &mut self.files;
        each_block(data, "code", |block| {
            let Some(svg) = block["text"].as_str().and_then(|text| code(text).ok()) else { return };
            files.insert("code.svg".to_owned(), Bytes::from_string(svg));
            block["file"] = json!("code.svg");
        });
    }

    /// Makes `text` the drawing `file`, to be read by a machine.
    pub fn add_code(&mut self, file: String, text: &str) -> Result<()> {
        self.files.insert(file, Bytes::from_string(code(text)?));
        Ok(())
    }

    /// Makes each photo that is there the file of its plates. What is not a JPEG is left to its words.
    pub fn add_photos(&mut self, data: &mut Value, photo: &dyn Fn(&str) -> Option<Vec<u8>>) {
        each_plate(data, |plate| {
            let Some(sha256) = plate["sha256"].as_str() else { return };
            let file = format!("{sha256}.jpg");
            if !self.files.contains_key(&file) {
                let Some(jpeg) = photo(sha256).filter(|bytes| bytes.starts_with(b"\xff\xd8\xff")) else {
                    return;
                };
                self.files.insert(file.clone(), Bytes::new(jpeg));
            }
            plate["file"] = json!(file);
        });
    }

    /// Lays the pages out. If that fails, photos that cannot be decoded give way to their words, once.
    pub fn compile(&mut self, data: &mut Value) -> Result<Vec<u8>> {
        self.set_data(data)?;
        match self.pages() {
            Ok(pages) => Self::write(&pages),
            Err(first) => {
                let before = self.files.len();
                self.files
                    .retain(|name, bytes| !name.ends_with(".jpg") || image::load_from_memory(bytes).is_ok());
                if self.files.len() == before {
                    return Err(first);
                }
                let files = &self.files;
                each_plate(data, |plate| {
                    if plate["file"].as_str().is_some_and(|file| !files.contains_key(file)) {
                        plate["file"] = Value::Null;
                    }
                });
                self.set_data(data)?;
                Self::write(&self.pages()?)
            }
        }
    }

    fn set_data(&mut self, data: &Value) -> Result<()> {
        let text = serde_json::to_vec(data).map_err(internal)?;
        self.files.insert("data.json".to_owned(), Bytes::new(text));
        Ok(())
    }

    fn pages(&self) -> Result<PagedDocument> {
        let compiled = typst::compile::<PagedDocument>(self);
        for warning in &compiled.warnings {
            tracing::debug!(message = %warning.message, "pdf layout");
        }
        compiled.output.map_err(|errors| internal(words(&errors)))
    }

    fn write(pages: &PagedDocument) -> Result<Vec<u8>> {
        typst_pdf::pdf(pages, &PdfOptions::default()).map_err(|errors| internal(words(&errors)))
    }
}

fn words(errors: &[SourceDiagnostic]) -> String {
    errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ")
}

fn each_block(data: &mut Value, kind: &str, mut f: impl FnMut(&mut Value)) {
    let sections = data["sections"].as_array_mut().into_iter().flatten();
    for block in sections.filter_map(|s| s["blocks"].as_array_mut()).flatten() {
        if block["kind"] == kind {
            f(block);
        }
    }
}

fn each_plate(data: &mut Value, mut f: impl FnMut(&mut Value)) {
    each_block(data, "plates", |block| block["plates"].as_array_mut().into_iter().flatten().for_each(&mut f));
}

impl World for TemplateWorld {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.fonts.book
    }

    fn main(&self) -> FileId {
        self.main.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.main.id() { Ok(self.main.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let name = id.vpath().get_without_slash();
        self.files.get(name).cloned().ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.faces.get(index).cloned()
    }

    /// None: a document says its cut-off, not the day it was printed.
    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}
