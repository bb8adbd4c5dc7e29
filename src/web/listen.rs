//! Where requests come in, plain or by TLS, by HTTP/1.1 or HTTP/2: every connection in a task of its own, none longer than
//! `connections` allows.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::access::Peer;
use super::connections::{Connection, Connections, UnderWay};
use crate::tls::acme;

/// A listener that fails (no more files, say) is asked again after so long.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often overdue connections are looked for.
const OVERDUE_INTERVAL: Duration = Duration::from_secs(1);
/// Requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;

/// Serves `router` on `listener` until `shutdown`, by TLS where `tls` is given; requests under way are finished.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()>,
) {
    let (graceful, acceptor) = (GracefulShutdown::new(), tls.map(TlsAcceptor::from));
    let mut overdue = tokio::time::interval(OVERDUE_INTERVAL);
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, from) = tokio::select! {
            () = &mut shutdown => break,
            _ = overdue.tick() => {
                connections.close_overdue(Instant::now());
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        // Where all others are busy this one is closed at once.
        let Some(connection) = connections.enter(from.ip(), Instant::now()) else { continue };
        let (router, watcher, acceptor) = (router.clone(), graceful.watcher(), acceptor.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection.closed() => {}
                () = handle(stream, from, acceptor, router, &connection, watcher) => {}
            }
            connection.leave();
        });
    }
    drop(listener);
    let mut finished = pin!(graceful.shutdown());
    loop {
        tokio::select! {
            () = &mut finished => return,
            _ = overdue.tick() => {
                connections.close_unfinished();
                connections.close_overdue(Instant::now());
            }
        }
    }
}

async fn handle(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    connection: &Connection,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let Some(acceptor) = acceptor else { return converse(stream, from, router, connection, watcher).await };
    // Whoever breaks off or speaks no TLS is nobody's loss; a phone tries again.
    let limit = connection.limits().hello_timeout;
    let Ok(Ok(mut stream)) = timeout(limit, acceptor.accept(stream)).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(acme::PROTOCOL) {
        // The authority has seen the proof in the handshake; nothing is said on this connection.
        let _ = timeout(limit, stream.shutdown()).await;
        return;
    }
    converse(stream, from, router, connection, watcher).await;
}

/// Answers the requests of one connection.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    from: SocketAddr,
    router: Router,
    connection: &Connection,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let (here, io) = (connection.clone(), Watched { stream, connection: connection.clone() });
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, (under_way, receiving)) = (router.clone(), here.begin());
        let mut request: Request = request.map(|body| {
            let guard = Some(receiving).filter(|_| !body.is_end_stream());
            Body::new(Guarded { body, guard })
        });
        request.extensions_mut().insert(ConnectInfo(Peer(from)));
        request.extensions_mut().insert(here.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(router, request, under_way).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    // What goes wrong on a connection is between the client and its network.
    let _ = watcher.watch(builder.serve_connection(TokioIo::new(io), service)).await;
}

async fn answer(router: Router, request: Request, under_way: UnderWay) -> Response {
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    response.map(|body| Body::new(Guarded { body, guard: Some(under_way) }))
}

/// A body that holds its guard until the last of it was taken, or nobody takes it any more.
struct Guarded<B, G> {
    body: B,
    guard: Option<G>,
}

impl<B: HttpBody<Data = Bytes> + Unpin, G: Unpin> HttpBody for Guarded<B, G> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells its connection when bytes come, and when none go.
struct Watched<S> {
    stream: S,
    connection: Connection,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.connection.heard();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn told<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.connection.set_stalled(polled.is_pending());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.told(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.told(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.told(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
