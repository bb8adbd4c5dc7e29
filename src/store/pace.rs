//! Reading many files beside a service that needs the same disk.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Holds reading to a rate, over all threads together.
pub(super) struct Pace {
    bytes_per_s: Option<f64>,
    began: Instant,
    bytes: AtomicU64,
}

impl Pace {
    pub fn new(rate_mb_s: Option<f64>) -> Self {
        Self { bytes_per_s: rate_mb_s.map(|r| r * 1e6), began: Instant::now(), bytes: AtomicU64::new(0) }
    }

    /// Counts `bytes` and waits until they were due.
    pub fn take(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_s else { return };
        let all = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no last byte")]
        let due = Duration::try_from_secs_f64(all as f64 / rate).unwrap_or(Duration::MAX);
        if let Some(early) = due.checked_sub(self.began.elapsed()) {
            std::thread::sleep(early);
        }
    }

    /// SHA-256 in hex and length of a file, read at this rate through `buffer`.
    pub fn hash(&self, path: &Path, buffer: &mut [u8]) -> std::io::Result<(String, u64)> {
        self.copy(path, &mut std::io::sink(), buffer)
    }

    /// Copies a file into `to`, and gives SHA-256 in hex and length of what was read.
    pub fn copy(
        &self,
        from: &Path,
        to: &mut impl Write,
        buffer: &mut [u8],
    ) -> std::io::Result<(String, u64)> {
        let mut file = File::open(from)?;
        let (mut hasher, mut all) = (Sha256::new(), 0);
        loop {
            let n = file.read(buffer)?;
            if n == 0 {
                return Ok((hex::encode(hasher.finalize()), all));
            }
            self.take(n);
            hasher.update(&buffer[..n]);
            to.write_all(&buffer[..n])?;
            all += n as u64;
        }
    }
}
