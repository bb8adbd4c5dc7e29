//! The witness over HTTP: `POST /add-checkpoint`, and `GET /` for people.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;

use super::{Verdict, Witness};
use crate::error::{Error, Result};
use crate::evidence::note::{Kind, SignerKey};
use crate::evidence::witness::{Denial, SIZE_MEDIA_TYPE};
use crate::publish::durable;

/// Largest request: 63 proof lines, and a checkpoint with the signatures of many witnesses.
const MOST_BYTES: usize = 131_072;

/// `jijia witness`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address; put a proxy that speaks https before it where others ask over the network.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// File of the witness's own key; made if it is not there.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Name of a key that is made now, such as the witness's address without https://.
    #[arg(long, value_name = "NAME", default_value = "jijia.local/witness")]
    pub name: String,
    /// Folder for what it has seen; back it up never, restore it never.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Verifier key of a log that is to be cosigned (`jijia log key`); once for each, and for each key of one.
    #[arg(long, value_name = "VKEY", required = true)]
    pub log: Vec<String>,
}

/// Serves until `shutdown`; `ready` is told the address and the witness's verifier key.
///
/// # Errors
/// Those of [`Witness::open`], of the key's file and of the listener.
pub async fn run(
    options: Options,
    ready: impl FnOnce(SocketAddr, String),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let key = load_key(&options.key, &options.name)?;
    let witness = Arc::new(Witness::open(key, &options.state, &options.log)?);
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|e| Error::Unavailable(format!("--listen {}: {e}", options.listen)))?;
    ready(listener.local_addr()?, witness.verifier().to_string());
    let routes = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/", get(about))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(witness);
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await.map_err(Error::from)
}

fn load_key(file: &Path, name: &str) -> Result<SignerKey> {
    let key = match durable::read_private(file)? {
        Some(text) => text.trim_end().parse().map_err(|e: Error| e.under("--key"))?,
        None => {
            let key = SignerKey::generate(name, Kind::Cosignature).map_err(|e| e.under("--name"))?;
            durable::write(file, format!("{}\n", key.secret_text()).as_bytes(), true)?;
            key
        }
    };
    if key.verifier().kind() != Kind::Cosignature {
        return Err(Error::invalid("--key", "is the key of a log; a witness makes its own"));
    }
    Ok(key)
}

async fn about(State(witness): State<Arc<Witness>>) -> String {
    format!("C2SP tlog-witness\n{}\n", witness.verifier())
}

/// The statuses are those of the specification.
async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let Ok(body) = String::from_utf8(body.into()) else {
        return (StatusCode::BAD_REQUEST, "the body is not UTF-8\n").into_response();
    };
    // Runs to its end when the client has gone, as everything that writes.
    let verdict = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, Timestamp::now())).await;
    let size = |size: u64| {
        (StatusCode::CONFLICT, [(header::CONTENT_TYPE, SIZE_MEDIA_TYPE)], format!("{size}\n")).into_response()
    };
    match verdict.map_err(|e| Error::Internal(e.to_string())).flatten() {
        Ok(Verdict::Cosigned(line)) => line.to_string().into_response(),
        Ok(Verdict::Unreadable(error)) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        Ok(Verdict::UnknownLog) => StatusCode::NOT_FOUND.into_response(),
        Ok(Verdict::Denied(Denial::Unsigned)) => StatusCode::FORBIDDEN.into_response(),
        Ok(Verdict::Denied(Denial::Backwards)) => StatusCode::BAD_REQUEST.into_response(),
        Ok(Verdict::Denied(Denial::Stale(known) | Denial::Forked(known))) => size(known),
        Ok(Verdict::Denied(Denial::Unproved)) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        Err(error) => {
            tracing::error!(%error, "nothing was cosigned");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
