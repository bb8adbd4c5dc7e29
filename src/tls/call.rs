//! One request to a server of others: a witness, an ACME authority.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// A silent server is given up after this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer that is read: some signature lines, a chain of certificates.
const MOST_BYTES: usize = 65_536;

/// Why there is no answer.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Posts `body`, by TLS where `tls` is given.
///
/// # Errors
/// The words why there is no answer.
pub async fn post(url: &Url, tls: Option<Arc<ClientConfig>>, body: String) -> Result<(u16, String), String> {
    let exchange = async {
        let answer = send(Request::post(url.as_str()).body(Full::new(Bytes::from(body)))?, tls).await?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(bytes.into())?))
    };
    exchange.await.map_err(|e: Failure| e.to_string())
}

/// Sends a request to the server that its address names, on a connection of its own.
///
/// # Errors
/// Whatever keeps the answer from coming whole.
pub async fn send<B>(
    request: Request<B>,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Response<Full<Bytes>>, Failure>
where
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let exchange = tokio::time::timeout(PATIENCE, exchange(request, tls)).await;
    exchange.map_err(|_| format!("no answer in {PATIENCE:?}"))?
}

async fn exchange<B>(
    mut request: Request<B>,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Response<Full<Bytes>>, Failure>
where
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let url = Url::parse(&request.uri().to_string())?;
    let host = url.host_str().ok_or("the address has no host")?;
    let port = url.port_or_known_default().ok_or("the address has no port")?;
    request.headers_mut().insert(HOST, HeaderValue::try_from(format!("{host}:{port}"))?);
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = Uri::try_from(path)?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let line = TcpStream::connect((host.as_str(), port)).await?;
    match tls {
        Some(tls) => {
            answer(TlsConnector::from(tls).connect(ServerName::try_from(host)?, line).await?, request).await
        }
        None => answer(line, request).await,
    }
}

async fn answer<B>(
    line: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Failure>
where
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(line)).await?;
    // Ends with the sender; what goes wrong on the line the request hears too.
    let driving = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let bytes = Limited::new(body, MOST_BYTES).collect().await?.to_bytes();
    driving.abort();
    Ok(Response::from_parts(head, Full::new(bytes)))
}
