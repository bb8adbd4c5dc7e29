//! Whoever sends is heard out before the answer goes: a connection that is closed over unread bytes is reset, and a reset
//! takes the answer with it. A phone that is refused amid its photo would hear a broken network, and try for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

/// Most bytes that are read of what nobody wants, for how long in all, and how long without a byte: nobody is heard out
/// for ever.
const MOST: usize = 128 << 20;
const LONGEST: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(10);
/// So long a client waits to be asked for its body (`Expect: 100-continue`) before it sends it all the same (curl: a second).
const PATIENCE: Duration = Duration::from_millis(500);

/// A body that its handler reads, and after it whoever hears out.
struct Rest {
    pieces: BodyDataStream,
    /// Somebody began to read: a client that waits for that sends from now on.
    asked: bool,
}

/// Passes the request on; what is left of its body when there is an answer is read, and kept nowhere.
pub(super) async fn out(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let begun = Instant::now();
    let waits = request.headers().contains_key(header::EXPECT);
    let (head, body) = request.into_parts();
    let rest = Arc::new(Mutex::new(Rest { pieces: body.into_data_stream(), asked: !waits }));
    let shared = rest.clone();
    let pieces = stream::poll_fn(move |context| poll(&shared, context));
    let answer = next.run(Request::from_parts(head, Body::from_stream(pieces))).await;
    let asked = rest.lock().unwrap_or_else(PoisonError::into_inner).asked;
    if asked || begun.elapsed() >= PATIENCE {
        // Too long or too slow: then the answer goes out all the same.
        let _ = timeout(LONGEST, discard(&rest)).await;
    }
    answer
}

async fn discard(rest: &Mutex<Rest>) {
    let mut pieces = stream::poll_fn(|context| poll(rest, context));
    let mut left = MOST;
    while let Ok(Some(Ok(piece))) = timeout(IDLE, pieces.next()).await {
        left = left.saturating_sub(piece.len());
        if left == 0 {
            return;
        }
    }
}

fn poll(rest: &Mutex<Rest>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
    let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
    rest.asked = true;
    rest.pieces.poll_next_unpin(context)
}
