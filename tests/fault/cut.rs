//! The phone leaves in the middle of a report: it is there whole with its leaf, or it is not there.

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::audit::{audit, leaf_of};
use super::{chance, shown, size};
use crate::serve::{Client, Serve, post_report};
use crate::service::{Answer, id, report, with};

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
pub enum Leave {
    /// FIN: what was sent arrives.
    Close,
    /// RST: what was not read yet may be thrown away.
    Reset,
}

impl Leave {
    pub fn by(rng: &mut Rng) -> Self {
        if rng.bool() { Self::Close } else { Self::Reset }
    }
}

/// Sends so many bytes of a request and leaves.
pub async fn cut(client: Client, request: &[u8], at: usize, leave: Leave) {
    let mut line = TcpStream::connect(client.0).await.unwrap();
    line.write_all(&request[..at]).await.unwrap();
    if matches!(leave, Leave::Reset) {
        line.set_zero_linger().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_broken_off_anywhere_is_whole_or_absent() {
    let mut rng = chance("cut");
    let n = size(500, 5000);
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path());
    let client = serve.client;
    let requests: Vec<_> = (0..n as u32).map(|i| post_report(report(i).to_string().as_bytes())).collect();
    let mut whole = 0;
    // Eight at a time, so that a cut falls into the work on another.
    for (chunk, first) in requests.chunks(8).zip((0..).step_by(8)) {
        let mut cuts = JoinSet::new();
        for request in chunk {
            // One in ten is sent whole, and nobody waits for the answer.
            let at = if rng.u8(..10) == 0 { request.len() } else { rng.usize(..request.len()) };
            whole += usize::from(at == request.len());
            let (request, leave) = (request.clone(), Leave::by(&mut rng));
            cuts.spawn(async move {
                cut(client, &request, at, leave).await;
                at == request.len()
            });
        }
        cuts.join_all().await;
        assert!(serve.get(&format!("/api/v1/reports/{}", id(first))).status < 500);
    }
    let held = audit(dir.path()).unwrap();
    assert!(held.reports.len() <= whole, "{} of {whole}: a part was taken for the whole", held.reports.len());
    for (i, request) in (0..).zip(&requests) {
        let answer = client.send(request).unwrap();
        match held.reports.get(&id(i)) {
            Some(leaf) => assert_eq!((answer.status, leaf_of(&answer)), (200, leaf.clone())),
            // One sent whole may have been taken since.
            None => assert!(matches!(answer.status, 200 | 201), "{}", answer.text()),
        }
    }
    assert_eq!(audit(dir.path()).unwrap().reports.len(), n);
    println!("cut: {whole} were sent whole, {} of them were taken", held.reports.len());
    shown("cut", n, "disconnects");
}

/// One request sent by a hundred at once, most of whom leave before the end; the answers that were heard.
async fn sent_by_a_hundred(client: Client, request: &[u8], rng: &mut Rng) -> Vec<Answer> {
    let mut senders = JoinSet::new();
    for _ in 0..100 {
        let (request, mut rng) = (request.to_vec(), rng.fork());
        senders.spawn(async move {
            if rng.u8(..3) > 0 {
                cut(client, &request, rng.usize(..=request.len()), Leave::by(&mut rng)).await;
                return None;
            }
            let mut line = TcpStream::connect(client.0).await.unwrap();
            line.write_all(&request).await.unwrap();
            let mut received = Vec::new();
            if rng.bool() {
                // Leaves in the middle of the answer.
                line.take(rng.u64(..200)).read_to_end(&mut received).await.unwrap();
                return None;
            }
            line.read_to_end(&mut received).await.unwrap();
            Some(Answer::read(&received).expect("a whole answer"))
        });
    }
    senders.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_a_hundred_times_at_once_is_one_record_with_one_receipt() {
    let mut rng = chance("again");
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path());
    let rounds = size(5, 100);
    for n in 0..rounds as u32 {
        let body = report(n);
        let request = post_report(body.to_string().as_bytes());
        let answers = sent_by_a_hundred(serve.client, &request, &mut rng).await;
        let last = serve.client.send(&request).unwrap();
        assert!(matches!(last.status, 200 | 201), "{}", last.text());
        let made = answers.iter().filter(|a| a.status == 201).count();
        assert!(made <= 1, "made {made} times");
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
            assert_eq!(answer.body, last.body, "another receipt");
        }
        let other = with(body, "/note", "又一次".into());
        serve.client.post_report(other.to_string().as_bytes()).unwrap().problem(409, "");
        assert_eq!(audit(dir.path()).unwrap().reports.get(&id(n)), Some(&leaf_of(&last)));
    }
    assert_eq!(audit(dir.path()).unwrap().reports.len(), rounds);
    shown("again", rounds * 100, "sendings of the same");
}
