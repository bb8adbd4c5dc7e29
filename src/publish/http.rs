//! One POST to a witness.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// A silent witness is given up after this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer that is read: some signature lines.
const MOST_BYTES: usize = 65_536;

/// By TLS where `tls` is given. Status and body of the answer, or the words why there is none.
pub(super) async fn post(
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
    body: String,
) -> Result<(u16, String), String> {
    let exchange = tokio::time::timeout(PATIENCE, exchange(url, tls, body)).await;
    exchange.map_err(|_| format!("no answer in {PATIENCE:?}"))?.map_err(|e| e.to_string())
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(url: &Url, tls: Option<Arc<ClientConfig>>, body: String) -> Result<(u16, String), Failure> {
    let host = url.host_str().ok_or("the address has no host")?.to_owned();
    let port = url.port_or_known_default().ok_or("the address has no port")?;
    let request = Request::post(url.path())
        .header(HOST, format!("{host}:{port}"))
        .body(Full::new(Bytes::from(body)))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let line = TcpStream::connect((host.as_str(), port)).await?;
    match tls {
        Some(tls) => {
            let line = TlsConnector::from(tls).connect(ServerName::try_from(host)?, line).await?;
            send(line, request).await
        }
        None => send(line, request).await,
    }
}

async fn send(
    line: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(u16, String), Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(line)).await?;
    // Ends with the sender; what goes wrong on the line the request hears too.
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let bytes = Limited::new(answer.into_body(), MOST_BYTES).collect().await?.to_bytes();
    driving.abort();
    Ok((status, String::from_utf8(bytes.into())?))
}
