//! Where requests come in: plain, or by TLS with the handshakes beside each other, so that one that hangs holds up nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::access::Peer;
use crate::error::Result;
use crate::tls::acme;

/// A handshake that takes longer is given up; a phone at the edge of its network needs some seconds.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Handshakes at a time: a flood of half-open connections must not fill the memory.
const HANDSHAKES: usize = 256;
/// A listener that fails (no more files, say) is asked again after so long.
const PAUSE: Duration = Duration::from_millis(100);

/// A TLS listener.
#[derive(Debug)]
pub struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Listens on `listener`, and ends when dropped.
    ///
    /// # Errors
    /// `Internal` if the listener has no address.
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>) -> Result<Self> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(HANDSHAKES);
        tokio::spawn(async move {
            tokio::select! {
                () = shake(listener, TlsAcceptor::from(config), &done) => {}
                () = done.closed() => {}
            }
        });
        Ok(Self { ready, address })
    }
}

async fn shake(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    done: &mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (acceptor, done) = (acceptor.clone(), done.clone());
        tokio::spawn(async move {
            let _turn = turn;
            // Whoever breaks off or speaks no TLS is nobody's loss; a phone tries again.
            let Ok(Ok(mut stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(acme::PROTOCOL) {
                // The authority has seen the proof in the handshake; nothing is said on this line.
                let _ = timeout(HANDSHAKE, stream.shutdown()).await;
                return;
            }
            let _ = done.send((stream, from)).await;
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}
