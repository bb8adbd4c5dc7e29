//! SIGKILL while eight writers are at work. The page cache outlives the process, so this shows that commits are
//! whole and come before their answers; that they are on the disk is shown by `power`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;

use fastrand::Rng;

use super::audit::{Leaf, audit, leaf_of};
use super::{chance, shown, size};
use crate::serve::{Client, Serve};
use crate::service::{id, report};

const WRITERS: usize = 8;

/// A report of a client, with the receipt if it has heard one.
struct Sent {
    id: String,
    body: Vec<u8>,
    receipt: Option<Leaf>,
}

impl Sent {
    fn new(n: u32) -> Self {
        Self { id: id(n), body: report(n).to_string().into_bytes(), receipt: None }
    }

    /// Sends it, for the first time or again. `false`: the service has gone.
    fn send(&mut self, client: Client) -> bool {
        let Some(answer) = client.post_report(&self.body) else { return false };
        let leaf = match (answer.status, &self.receipt) {
            (200 | 201, None) | (200, Some(_)) => leaf_of(&answer),
            (status, _) => panic!("{status}: {}", answer.text()),
        };
        let before = self.receipt.get_or_insert_with(|| leaf.clone());
        assert_eq!(*before, leaf, "another receipt for the same report");
        true
    }
}

/// Everything that was sent, but for what is under way.
#[derive(Default)]
struct Ledger {
    sent: Vec<Sent>,
    made: u32,
}

impl Ledger {
    /// A new report, or, one in four, an old one again.
    fn take(&mut self, rng: &mut Rng) -> Sent {
        if self.sent.len() > WRITERS && rng.u8(..4) == 0 {
            return self.sent.swap_remove(rng.usize(..self.sent.len()));
        }
        self.made += 1;
        Sent::new(self.made)
    }
}

/// Eight writers are at work until the service is killed under them, after so many answers.
fn write_until_killed(mut serve: Serve, ledger: &Mutex<Ledger>, rng: &mut Rng) -> usize {
    let (count, answered) = mpsc::channel();
    let kill_after = rng.usize(1..60);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (client, count, mut rng) = (serve.client, count.clone(), rng.fork());
            scope.spawn(move || {
                loop {
                    // The lock is not held while it is under way.
                    let mut sent = ledger.lock().unwrap().take(&mut rng);
                    let heard = sent.send(client);
                    ledger.lock().unwrap().sent.push(sent);
                    if !heard {
                        return;
                    }
                    // After the kill nobody counts.
                    let _ = count.send(());
                }
            });
        }
        assert_eq!(answered.iter().take(kill_after).count(), kill_after);
        serve.kill();
    });
    kill_after
}

/// Every acknowledged report is there under its receipt, and nothing that was never sent.
fn compare(dir: &Path, ledger: &[Sent]) {
    let held = audit(dir).unwrap();
    for sent in ledger {
        let found = held.reports.get(&sent.id);
        assert!(sent.receipt.is_none() || sent.receipt.as_ref() == found, "{}: {found:?}", sent.id);
    }
    let known = ledger.iter().filter(|s| held.reports.contains_key(&s.id)).count();
    assert_eq!(known, held.reports.len());
}

/// Kills a service so often over one directory; the number of answers heard before.
fn kill_again_and_again(cycles: usize, rng: &mut Rng) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Mutex::new(Ledger::default());
    let mut answers = 0;
    for _ in 0..cycles {
        let serve = Serve::start(dir.path());
        {
            let sent = &mut ledger.lock().unwrap().sent;
            compare(dir.path(), sent);
            for sent in sent.iter_mut().filter(|s| s.receipt.is_none()) {
                assert!(sent.send(serve.client));
            }
        }
        answers += write_until_killed(serve, &ledger, rng);
    }
    let serve = Serve::start(dir.path());
    let Ledger { mut sent, .. } = ledger.into_inner().unwrap();
    for sent in &mut sent {
        assert!(sent.send(serve.client));
    }
    compare(dir.path(), &sent);
    answers
}

#[test]
fn no_acknowledged_report_is_lost_or_doubled_by_kill_9_under_eight_writers() {
    let mut rng = chance("kill");
    let cycles = size(50, 3000);
    // A directory of its own for every fifty: all of it is audited after every kill.
    let answers: usize = (0..cycles / 50).map(|_| kill_again_and_again(50, &mut rng)).sum();
    println!("kill: {answers} answers were heard before the kills");
    shown("kill", cycles, "kill -9 cycles");
}
