//! The files beside the pages (`dashboards/assets`), inside the binary. A page names them with their content's
//! hash (`/assets/style.css?v=1f2e3d4c`), so a browser may keep them for ever and an upgrade is seen at once.

use axum::{
    extract::{Path, Query},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Deserialize;

#[derive(RustEmbed)]
#[folder = "dashboards/assets/"]
pub(super) struct Assets;

/// The address of an asset with its hash; without one if there is no such file (a test looks for that).
#[must_use]
pub fn href(name: &str) -> String {
    match Assets::get(name) {
        Some(file) => format!("/assets/{name}?v={}", version(&file)),
        None => format!("/assets/{name}"),
    }
}

/// First 8 hex digits of the SHA-256.
fn version(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..4])
}

/// The version asked for.
#[derive(Deserialize)]
pub struct Version {
    v: Option<String>,
}

/// `GET /assets/{*name}`. Kept for a year when asked for by its hash; asked again by `ETag` otherwise.
pub async fn get_asset(
    Path(name): Path<String>,
    Query(asked): Query<Version>,
    headers: HeaderMap,
) -> Response {
    let Some(file) = Assets::get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let version = version(&file);
    let etag = format!("\"{version}\"");
    let by_hash = asked.v.as_deref() == Some(version.as_str());
    let cache = if by_hash { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|h| h.as_bytes() == etag.as_bytes());
    let common = [
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, etag),
        (header::CONTENT_TYPE, content_type(&name).to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, file.data.into_owned()).into_response()
}

/// By the ending; only what the folders hold.
pub(super) fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, http::Request, routing::get};
    use sha2::{Digest, Sha256};
    use tower::ServiceExt;

    async fn ask(uri: &str, etag: Option<&str>) -> Response {
        let app = Router::new().route("/assets/{*name}", get(get_asset));
        let mut request = Request::get(uri);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_asked_for_by_its_hash_is_kept_for_ever() {
        let uri = href("style.css");
        let answer = ask(&uri, None).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(ask("/assets/style.css", Some(&etag)).await.status(), 304);
        let stale = ask("/assets/style.css?v=00000000", None).await;
        assert_eq!(stale.headers()["cache-control"], "no-cache");
        assert_eq!(ask("/assets/../Cargo.toml", None).await.status(), 404);
        assert_eq!(ask("/assets/none.css", None).await.status(), 404);
    }

    /// `dashboards/vendor/MANIFEST.tsv` names every file taken from elsewhere, with its hash and its licence.
    #[test]
    fn vendored_files_are_as_the_manifest_says() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
        let manifest = std::fs::read_to_string(root.join("vendor/MANIFEST.tsv")).unwrap();
        let mut listed = std::collections::BTreeSet::new();
        for line in manifest.lines().skip(1) {
            let cells: Vec<_> = line.split('\t').collect();
            let bytes = std::fs::read(root.join(cells[0])).unwrap();
            assert_eq!(hex::encode(Sha256::digest(&bytes)), cells[5], "{} was changed by hand", cells[0]);
            assert!(["ISC", "MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"].contains(&cells[3]));
            listed.insert(cells[0].to_owned());
        }
        assert!(listed.contains("assets/icons.svg"));
        let own = ["package.json", "package-lock.json", "update", "MANIFEST.tsv", "node_modules"];
        for entry in std::fs::read_dir(root.join("vendor")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let vendored = listed.iter().any(|l| l.starts_with(&format!("vendor/{name}/")));
            assert!(own.contains(&name.as_str()) || vendored, "vendor/{name} is not in the manifest");
        }
    }

    #[test]
    fn every_icon_used_is_in_the_sprite_and_every_icon_in_it_is_used() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let sprite = std::fs::read_to_string(root.join("dashboards/assets/icons.svg")).unwrap();
        let names = |text: &str, mark: &str| -> std::collections::BTreeSet<String> {
            text.split(mark).skip(1).filter_map(|p| p.split_once('"')).map(|p| p.0.to_owned()).collect()
        };
        let mut used = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(root.join("dashboards/templates")).unwrap() {
            used.extend(names(&std::fs::read_to_string(file.unwrap().path()).unwrap(), "marks::icon(\""));
        }
        assert_eq!(names(&sprite, "<symbol id=\""), used);
    }
}
