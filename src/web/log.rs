//! The evidence log for readers who trust nobody: C2SP tlog-tiles (<https://c2sp.org/tlog-tiles>) under `/log`, and
//! ready-made proofs for those who do not want to fetch tiles.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::is_let;
use super::app::App;
use super::doors::ENTRIES;
use super::problem::{Failure, Problem};
use crate::error::Error;
use crate::evidence::checkpoint::decimal;
use crate::evidence::merkle::Hash;
use crate::evidence::tile::{Content, Tile};

/// What has this address never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const PLAIN: &str = "text/plain; charset=utf-8";

/// `GET /log/checkpoint`: the newest signed head with the witnesses' lines.
pub(super) async fn get_checkpoint(State(app): State<App>) -> Result<Response, Failure> {
    let checkpoint = app.publisher.checkpoint().await?.to_string();
    Ok(([(header::CONTENT_TYPE, PLAIN), (header::CACHE_CONTROL, "no-cache")], checkpoint).into_response())
}

/// `GET /log/tile/<L>/<N>[.p/<W>]`: hashes.
pub(super) async fn get_tile(State(app): State<App>, Path(path): Path<String>) -> Result<Response, Failure> {
    let tile: Tile = format!("tile/{path}").parse()?;
    if tile.content == Content::Entries {
        // That address is a door of its own; no other spelling leads past it.
        return Err(Error::NotFound(format!("tile/{path}")).into());
    }
    let bytes = app.publisher.tile(tile).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, FOR_EVER)];
    Ok((headers, bytes).into_response())
}

/// `GET /log/tile/entries/<N>[.p/<W>]`: an entry bundle, for monitors.
pub(super) async fn get_entries(
    State(app): State<App>,
    Path(path): Path<String>,
) -> Result<Response, Failure> {
    let tile: Tile = format!("tile/entries/{path}").parse()?;
    let bytes = app.publisher.tile(tile).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, bytes).into_response())
}

/// Who signs.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyBody {
    /// The log's name on its checkpoints.
    origin: String,
    /// Its verifier key (C2SP signed-note): `name+id+base64`.
    key: String,
}

/// The log's origin and the key that signs now. A reader who was never told it by another way trusts this service.
#[utoipa::path(get, path = "/api/v1/log/key", tag = "log",
    responses((status = 200, body = KeyBody), (status = 503, body = Problem)))]
pub(super) async fn get_key(State(app): State<App>) -> Result<Response, Failure> {
    let key = app.publisher.verifier().await?;
    let body = KeyBody { origin: key.name().to_owned(), key: key.to_string() };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}

/// The query of an inclusion.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InclusionQuery {
    index: String,
    size: Option<String>,
}

/// An inclusion proof.
#[derive(Serialize, ToSchema)]
pub(super) struct InclusionBody {
    /// Index of the entry, from 0.
    index: u64,
    /// Its leaf hash, hex.
    leaf_hash: String,
    /// Entries of the tree.
    size: u64,
    /// RFC 6962 root over them, hex.
    root: String,
    /// RFC 6962 2.1.1, from the leaf's sibling up, hex.
    hashes: Vec<String>,
}

/// That an entry is in the log: the inclusion proof of `index` in the tree of the first `size` entries.
#[utoipa::path(get, path = "/api/v1/log/inclusion", tag = "log",
    params(("index" = u64, Query, description = "Of the entry, from 0, as in its receipt"),
        ("size" = Option<u64>, Query, description = "Of the tree, up to that of the newest checkpoint, which is the default")),
    responses((status = 200, body = InclusionBody), (status = 404, description = "No such entry", body = Problem),
        (status = 422, body = Problem),
        (status = 503, description = "Stored, and not signed yet: ask again", body = Problem)))]
pub(super) async fn get_inclusion(State(app): State<App>, uri: Uri) -> Result<Response, Failure> {
    let query: InclusionQuery = read(&uri)?;
    let index = number("index", &query.index)?;
    let size = query.size.map(|size| number("size", &size)).transpose()?;
    let made = app.publisher.inclusion(index, size).await?;
    let (leaf_hash, root) = (hex::encode(made.leaf), hex::encode(made.root));
    let body = InclusionBody { index, leaf_hash, size: made.size, root, hashes: hexes(&made.hashes) };
    Ok(axum::Json(body).into_response())
}

/// The query of a consistency.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsistencyQuery {
    from: String,
    to: Option<String>,
}

/// A consistency proof.
#[derive(Serialize, ToSchema)]
pub(super) struct ConsistencyBody {
    /// Entries of the smaller tree.
    from: u64,
    /// RFC 6962 root over them, hex.
    from_root: String,
    /// Entries of the larger tree.
    to: u64,
    /// RFC 6962 root over them, hex.
    to_root: String,
    /// RFC 6962 2.1.2, hex.
    hashes: Vec<String>,
}

/// That nothing was changed or dropped: the consistency proof from the tree of the first `from` entries to that of the
/// first `to`.
#[utoipa::path(get, path = "/api/v1/log/consistency", tag = "log",
    params(("from" = u64, Query, description = "Of the smaller tree, such as one that was signed earlier"),
        ("to" = Option<u64>, Query, description = "Of the larger, up to that of the newest checkpoint, which is the default")),
    responses((status = 200, body = ConsistencyBody), (status = 422, body = Problem),
        (status = 503, description = "Nothing is signed yet", body = Problem)))]
pub(super) async fn get_consistency(State(app): State<App>, uri: Uri) -> Result<Response, Failure> {
    let query: ConsistencyQuery = read(&uri)?;
    let from = number("from", &query.from)?;
    let to = query.to.map(|to| number("to", &to)).transpose()?;
    let made = app.publisher.consistency(from, to).await?;
    let (from_root, to_root) = (hex::encode(made.from_root), hex::encode(made.to_root));
    let body = ConsistencyBody { from, from_root, to: made.to, to_root, hashes: hexes(&made.hashes) };
    Ok(axum::Json(body).into_response())
}

/// The proof file of a receipt (C2SP tlog-proof): with it the entry is checked offline, against the log's key alone. To those
/// who may see entries it comes with the entry's bytes as `extra`.
#[utoipa::path(get, path = "/api/v1/log/proofs/{index}", tag = "log",
    params(("index" = u64, Path, description = "As in the receipt")),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 401, body = Problem, description = "An invalid or expired token; none is asked for"),
        (status = 404, description = "No such entry", body = Problem), (status = 422, body = Problem),
        (status = 503, description = "Stored, and not signed yet: ask again", body = Problem)))]
pub(super) async fn get_proof(
    State(app): State<App>,
    Path(index): Path<String>,
    request_headers: HeaderMap,
) -> Result<Response, Failure> {
    let index = number("index", &index)?;
    let mut proof = app.publisher.prove(index).await?;
    if is_let(&app, &ENTRIES, &request_headers).await? {
        proof.extra = app.store.list_entries(index, 1).await?.pop().map(|entry| entry.body);
    }
    let proof = proof.to_string();
    let headers = [
        (header::CONTENT_TYPE, PLAIN.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"jijia-{index}.tlog-proof\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, proof).into_response())
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Error> {
    let Query(query) = Query::try_from_uri(uri).map_err(|e| Error::invalid("query", e.body_text()))?;
    Ok(query)
}

fn number(field: &str, text: &str) -> Result<u64, Error> {
    decimal(text)
        .ok_or_else(|| Error::invalid(field, format!("`{text}` is not allowed; a number from 0 on is")))
}

pub(super) fn hexes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex::encode).collect()
}
