//! The field app (`/m`): the files of `dashboards/field`, packed once, and the list by which its service worker keeps
//! them. What it needs to know of the place stands in `today`.

mod today;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{LazyLock, Once, OnceLock};

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::assets::{Assets, content_type};
pub use today::DEMO_PEOPLE;
pub(super) use today::{__path_get_field, get_field};

#[derive(RustEmbed)]
#[folder = "dashboards/field/"]
struct Files;

/// What the app may load: its own files, pictures and voice notes it has just taken, nothing inline, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// No other page asks for the microphone.
const PERMISSIONS: &str = "camera=(self), geolocation=(self), microphone=(self)";
/// The page, as the folder names it; the service worker keeps it under `/m`.
const PAGE: &str = "index.html";
const WORKER: &str = "sw.js";
/// What the office's pages use as well.
const SHARED: [&str; 3] = ["tokens.css", "log-tree.js", "log-heads.js"];

/// A body in the two forms it is sent in.
struct Packed {
    media_type: &'static str,
    /// `"1f2e3d4c"`, with its quotes.
    etag: String,
    plain: Bytes,
    gzip: Option<Bytes>,
}

/// Every file by its name, the worker with its list.
static FILES: LazyLock<BTreeMap<String, Packed>> = LazyLock::new(|| {
    let mut files: BTreeMap<String, Vec<u8>> = Files::iter()
        .filter_map(|name| Some((name.to_string(), Files::get(&name)?.data.into_owned())))
        .collect();
    for name in SHARED {
        files.extend(Assets::get(name).map(|file| (name.to_owned(), file.data.into_owned())));
    }
    let hints = preloads(&files);
    if let Some(page) = files.get_mut(PAGE) {
        let end = memchr::memmem::find(page, b"</head>").unwrap_or(0);
        page.splice(end..end, hints.into_bytes());
    }
    let list = worker_list(&files);
    if let Some(worker) = files.get_mut(WORKER) {
        worker.splice(0..0, list.into_bytes());
    }
    files.into_iter().map(|(name, bytes)| (name.clone(), Packed::new(content_type(&name), bytes))).collect()
});

/// `<link rel="modulepreload" …>` for every module that stands in a line `import … from "./x.js"` of the app or of another
/// one of them: a far phone asks for them at once, and not for each when it has read the one before.
fn preloads(files: &BTreeMap<String, Vec<u8>>) -> String {
    let imports = |name: &str| -> Vec<String> {
        let text = files.get(name).map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
        let from = |line: &str| {
            Some(line.strip_prefix("import ")?.split_once("\"./")?.1.strip_suffix("\";")?.to_owned())
        };
        text.lines().filter_map(from).collect()
    };
    let mut modules = imports("app.js");
    let mut at = 0;
    while at < modules.len() {
        let more = imports(&modules[at]);
        modules.extend(more.into_iter().filter(|m| !modules.contains(m)).collect::<Vec<_>>());
        at += 1;
    }
    modules.iter().map(|name| format!("<link rel=\"modulepreload\" href=\"/m/{name}\">\n")).collect()
}

/// `const FILES = {"/m": "sha256-…", …};`: what the worker keeps, by the hash it checks. Another file makes another
/// worker, and that is how a phone learns of a new version.
fn worker_list(files: &BTreeMap<String, Vec<u8>>) -> String {
    let hashes: BTreeMap<String, String> = files
        .iter()
        .filter(|(name, _)| *name != WORKER)
        .map(|(name, bytes)| {
            let address = if name == PAGE { "/m".to_owned() } else { format!("/m/{name}") };
            (address, format!("sha256-{}", STANDARD.encode(Sha256::digest(bytes))))
        })
        .collect();
    format!("const FILES = {};\n", serde_json::to_string(&hashes).unwrap_or_default())
}

impl Packed {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..4]));
        let gzip = packs(media_type).then(|| gzip(&bytes)).flatten();
        Self { media_type, etag, plain: bytes.into(), gzip }
    }

    /// As the request takes it, by `brotli` where it is given; 304 where it has it.
    fn answer(&self, headers: &HeaderMap, brotli: Option<&Bytes>) -> Response {
        // A page that the browser sets aside alive may hold a transaction of the phone's store, for which the app's next page
        // then waits for ever (seen in WebKit). What must not be stored is not set aside either.
        let cache = if self.media_type.starts_with("text/html") { "no-store" } else { "no-cache" };
        let common = [
            (header::CACHE_CONTROL, cache),
            (header::ETAG, &self.etag),
            (header::CONTENT_TYPE, self.media_type),
            (header::VARY, "Accept-Encoding"),
        ];
        if header_has(headers, &header::IF_NONE_MATCH, &self.etag) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let gzip = self.gzip.as_ref().filter(|_| header_has(headers, &header::ACCEPT_ENCODING, "gzip"));
        match brotli.map(|packed| ("br", packed)).or(gzip.map(|packed| ("gzip", packed))) {
            Some((coding, packed)) => {
                (common, [(header::CONTENT_ENCODING, coding)], packed.clone()).into_response()
            }
            None => (common, self.plain.clone()).into_response(),
        }
    }
}

fn header_has(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers.get(name).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(wanted))
}

/// Pictures are packed already.
fn packs(media_type: &str) -> bool {
    !media_type.starts_with("image/png")
}

/// The files by brotli, a seventh smaller; browsers ask for it by https alone. Packing them takes seconds: whoever asks
/// first starts it, and is served by gzip.
fn brotli_of(name: &str) -> Option<&'static Bytes> {
    static PACKED: OnceLock<BTreeMap<&str, Bytes>> = OnceLock::new();
    static PACKING: Once = Once::new();
    PACKING.call_once(|| {
        std::thread::spawn(|| {
            let files = FILES.iter().filter(|(_, file)| packs(file.media_type));
            PACKED.set(files.filter_map(|(name, file)| Some((name.as_str(), brotli(&file.plain)?))).collect())
        });
    });
    PACKED.get()?.get(name)
}

fn brotli(bytes: &[u8]) -> Option<Bytes> {
    let params =
        BrotliEncoderParams { quality: 10, size_hint: bytes.len(), ..BrotliEncoderParams::default() };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut packed, &params).ok()?;
    Some(packed.into())
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// `GET /m`: the app itself. It shows nothing of anybody: what it knows it asks for, or has on the phone.
pub(super) async fn page(headers: HeaderMap) -> Response {
    file(PAGE, &headers)
}

/// `GET /m/`.
pub(super) async fn to_page() -> Redirect {
    Redirect::permanent("/m")
}

/// `GET /m/{name}`.
pub(super) async fn get_file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&name, &headers)
}

/// A file of the app.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(packed) = FILES.get(name) else { return StatusCode::NOT_FOUND.into_response() };
    // The worker stands beside the app's files and keeps `/m` itself too.
    let scope = (name == WORKER).then_some([("service-worker-allowed", "/m")]);
    let permissions = HeaderName::from_static("permissions-policy");
    let policy = [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (permissions, PERMISSIONS)];
    let wants_brotli = header_has(headers, &header::ACCEPT_ENCODING, "br");
    let brotli = wants_brotli.then(|| brotli_of(name)).flatten();
    (scope, policy, packed.answer(headers, brotli)).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    fn text(name: &str) -> String {
        String::from_utf8(FILES[name].plain.to_vec()).unwrap()
    }

    fn catalogue(name: &str) -> HashMap<String, String> {
        serde_json::from_str(&text(name)).unwrap()
    }

    /// Every script of ours.
    fn scripts() -> String {
        let vendored = ["idb.js", "fflate.js", "jsqr.js"];
        let own = FILES.keys().filter(|n| n.ends_with(".js") && !vendored.contains(&n.as_str()));
        own.map(|n| text(n)).collect()
    }

    /// What stands after `mark`, up to the quote.
    fn quoted(text: &str, mark: &str) -> BTreeSet<String> {
        text.split(mark).skip(1).filter_map(|p| p.split_once('"')).map(|p| p.0.to_owned()).collect()
    }

    #[test]
    fn both_catalogues_have_the_same_keys_and_names_in_braces() {
        let (zh, en) = (catalogue("zh-CN.json"), catalogue("en.json"));
        let keys = |c: &HashMap<String, String>| c.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&zh), keys(&en));
        let names = |text: &str| -> BTreeSet<String> {
            text.split('{').skip(1).filter_map(|p| p.split_once('}')).map(|p| p.0.to_owned()).collect()
        };
        for (key, words) in &zh {
            assert_eq!(names(words), names(&en[key]), "{key}");
            assert!(!words.is_empty() && !en[key].is_empty(), "{key} is empty");
        }
    }

    /// Keys made at run time (`kind.` + …) are known by their prefix.
    const MADE: [&str; 16] = [
        "fork.",
        "notice.",
        "kind.",
        "window.",
        "weather.",
        "fix.",
        "no_fix.",
        "state.",
        "ask.",
        "guide.",
        "flow.",
        "colour.",
        "odour.",
        "floatables.",
        "growth.",
        "settings.",
    ];

    /// The keys in `t("…")`; not what ends in t (`get("…")`).
    fn keys_used(scripts: &str) -> BTreeSet<String> {
        let calls = scripts.match_indices("t(\"").filter(|(at, _)| {
            !scripts[..*at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_'))
        });
        calls
            .filter_map(|(at, mark)| scripts[at + mark.len()..].split_once('"'))
            .map(|p| p.0.to_owned())
            .collect()
    }

    #[test]
    fn every_key_used_is_known_and_every_key_known_is_used() {
        let (all, known) = (scripts(), catalogue("zh-CN.json"));
        let unknown: Vec<_> = keys_used(&all).into_iter().filter(|k| !known.contains_key(k)).collect();
        assert!(unknown.is_empty(), "not in the catalogues: {unknown:?}");
        let unused: Vec<_> = known
            .keys()
            .filter(|k| !all.contains(&format!("\"{k}\"")) && !MADE.iter().any(|m| k.starts_with(m)))
            .collect();
        assert!(unused.is_empty(), "never used: {unused:?}");
    }

    #[test]
    fn the_words_of_the_forms_are_the_server_s() {
        let zh = catalogue("zh-CN.json");
        for (field, words) in today::forms() {
            for word in words {
                assert_eq!(zh[&format!("{field}.{}", word.code)], word.zh);
            }
        }
    }

    #[test]
    fn every_icon_used_is_in_the_sprite_and_every_icon_in_it_is_used() {
        let drawn = quoted(&text("icons.svg"), "<symbol id=\"");
        let scripts = scripts();
        let missing: Vec<_> = quoted(&scripts, "icon(\"").difference(&drawn).cloned().collect();
        assert!(missing.is_empty(), "not in the sprite: {missing:?}");
        let unused: Vec<_> = drawn.iter().filter(|d| !scripts.contains(&format!("\"{d}\""))).collect();
        assert!(unused.is_empty(), "never used: {unused:?}");
    }

    #[test]
    fn brotli_comes_with_the_second_request_and_unpacks_to_the_file() {
        let headers = [(header::ACCEPT_ENCODING, "gzip, deflate, br".parse().unwrap())].into_iter().collect();
        let coding = || file("app.js", &headers).headers()["content-encoding"].to_str().unwrap().to_owned();
        assert!(["gzip", "br"].contains(&coding().as_str()));
        while coding() == "gzip" {
            std::thread::yield_now();
        }
        for (name, file) in FILES.iter().filter(|(_, file)| packs(file.media_type)) {
            let packed = brotli_of(name).unwrap();
            assert!(packed.len() <= file.gzip.as_ref().unwrap().len(), "{name}");
            let mut plain = Vec::new();
            brotli::BrotliDecompress(&mut &packed[..], &mut plain).unwrap();
            assert_eq!(plain, file.plain, "{name}");
        }
    }

    #[test]
    fn the_page_asks_for_every_module_that_the_first_screen_needs() {
        let page = text(PAGE);
        let asked = quoted(&page, "<link rel=\"modulepreload\" href=\"/m/");
        for name in ["home.js", "store.js", "idb.js", "clock.js", "words.js"] {
            assert!(asked.contains(name), "{name}");
        }
        for name in ["camera.js", "fflate.js", "jsqr.js", "app.js"] {
            assert!(!asked.contains(name), "{name} is not wanted at first");
        }
        assert!(asked.iter().all(|name| FILES.contains_key(name)), "{asked:?}");
    }

    #[test]
    fn the_worker_knows_every_file_by_its_hash() {
        let worker = text(WORKER);
        let list = worker.lines().next().unwrap().strip_prefix("const FILES = ").unwrap();
        let list: HashMap<String, String> = serde_json::from_str(list.trim_end_matches(';')).unwrap();
        assert_eq!(list.len(), FILES.len() - 1);
        assert!(list["/m"].starts_with("sha256-") && list.contains_key("/m/tokens.css"));
        let answer = file(WORKER, &HeaderMap::new());
        assert_eq!(answer.headers()["service-worker-allowed"], "/m");
        assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8");
    }

    #[test]
    fn a_file_is_sent_packed_to_whom_can_unpack_it_and_not_twice() {
        let ask = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            file("app.js", &headers)
        };
        assert_eq!(ask(&[("accept-encoding", "gzip, deflate")]).headers()["content-encoding"], "gzip");
        let plain = ask(&[]);
        assert!(plain.headers().get("content-encoding").is_none());
        let etag = plain.headers()["etag"].to_str().unwrap();
        assert_eq!(ask(&[("if-none-match", etag)]).status(), 304);
        assert_eq!(file("../Cargo.toml", &HeaderMap::new()).status(), 404);
    }
}
