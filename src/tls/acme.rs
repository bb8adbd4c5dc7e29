//! Certificates of an ACME authority (RFC 8555), by TLS-ALPN-01 (RFC 8737): the authority opens a line to the port that
//! everybody opens, and sees a proof in the handshake; no second port, no plain HTTP. Everything that comes of it lies in
//! one folder, so that a restart asks for nothing.

mod order;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ClientConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::server::{Certificate, Standing};
use super::write;
use crate::error::{Error, Result};

/// The protocol of a line by which an authority looks for the proof; nothing else is said on it.
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// Whether it is time is looked at so often: a machine sleeps, a clock is set.
const LOOK: Duration = Duration::from_secs(3600);
/// After a try that did not reach the authority: it costs nobody anything, and the office's line is back soon.
const AWAY: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(300)];
/// After a refusal. Let's Encrypt bears five failures an hour for one name: these are 0, 2, 6, 14 and 30 minutes, then 62.
const REFUSED: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(12 * 3600)];

/// What is asked for, of whom, and where it is kept.
pub struct Acme {
    /// Host names of the certificate.
    names: Vec<String>,
    /// `mailto:` address of the account; none.
    contact: Option<String>,
    /// Address of the authority's directory.
    directory: String,
    /// How it is trusted.
    tls: Arc<ClientConfig>,
    /// The account with its key, and the certificate with its key.
    folder: PathBuf,
    /// What is shown.
    certificate: Arc<Certificate>,
    /// By name, while an order is under way.
    proofs: RwLock<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Why there is no new certificate.
enum Failure {
    /// The authority could not be asked; soon again.
    Away(String),
    /// It said no, or what it gave cannot be used; much later again.
    Refused(String),
}

/// Since the last certificate came. Counted apart: after a night without a line, one refusal is not the hundredth.
#[derive(Default)]
struct Failures {
    away: u32,
    refused: u32,
}

impl Acme {
    /// Reads what is kept under `dir`, which has a folder for each authority.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(
        names: Vec<String>,
        contact: &str,
        directory: &str,
        tls: Arc<ClientConfig>,
        dir: &Path,
    ) -> Result<Arc<Self>> {
        let folder = dir.join(folder_name(directory));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&folder)?;
        let file = folder.join("certificate.pem");
        let certificate = Certificate::awaited(&file, &file);
        // One that cannot be read is no reason not to start: another is ordered.
        if file.is_file()
            && let Err(error) = certificate.renew()
        {
            tracing::error!(%error, "the kept certificate cannot be used");
        }
        Ok(Arc::new(Self {
            names,
            contact: (!contact.is_empty()).then(|| format!("mailto:{contact}")),
            directory: directory.to_owned(),
            tls,
            folder,
            certificate: Arc::new(certificate),
            proofs: RwLock::default(),
        }))
    }

    /// What is shown.
    #[must_use]
    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// When the certificate is to be renewed: after two thirds of its life; at once where there is none for these names.
    fn due(&self) -> Timestamp {
        let held = self.certificate.held();
        held.filter(|held| self.names.iter().all(|name| held.names.contains(name)))
            .map_or(Timestamp::MIN, |held| held.until - held.until.duration_since(held.from) / 3)
    }

    /// Serves by what an order brought, and keeps it.
    async fn keep(&self, pem: String) -> Result<(), Failure> {
        let given = self.certificate.hold(pem.as_bytes(), pem.as_bytes());
        given.map_err(|e| Failure::Refused(format!("what it gave cannot be used: {e}")))?;
        // Crash or full disk here: it is served as long as this process lives, and the next one orders another.
        if let Err(error) = replace(self.folder.join("certificate.pem"), pem).await {
            tracing::error!(%error, "the new certificate could not be kept; after a restart another is ordered");
        }
        // Else one would be ordered after the other without a pause.
        if self.due() <= Timestamp::now() {
            let why = "the new certificate ends at once, or lacks a name; look at this machine's clock";
            return Err(Failure::Refused(why.into()));
        }
        Ok(())
    }

    fn set_proofs(&self, proofs: BTreeMap<String, Arc<CertifiedKey>>) {
        *self.proofs.write().unwrap_or_else(PoisonError::into_inner) = proofs;
    }
}

impl ResolvesServerCert for Acme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An authority names this protocol alone; a browser never does.
        if hello.alpn().is_some_and(|mut offered| offered.any(|p| p == PROTOCOL)) {
            let proofs = self.proofs.read().unwrap_or_else(PoisonError::into_inner);
            return proofs.get(hello.server_name()?).cloned();
        }
        self.certificate.resolve(hello)
    }
}

/// Orders a certificate where it is time, again and again.
pub async fn run(acme: Arc<Acme>) {
    let mut failures = Failures::default();
    loop {
        let left = Duration::try_from(acme.due().duration_since(Timestamp::now())).unwrap_or_default();
        if !left.is_zero() {
            tokio::time::sleep(left.min(LOOK)).await;
            continue;
        }
        let done = match order::order(&acme).await {
            Ok(pem) => acme.keep(pem).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => {
                failures = Failures::default();
                tracing::info!(names = acme.names.join(", "), again = %acme.due(), "a new certificate is served");
            }
            Err(failure) => {
                tokio::time::sleep(acme.failed(failure, &mut failures)).await;
            }
        }
    }
}

impl Acme {
    /// Says why, and how long to wait.
    fn failed(&self, failure: Failure, failures: &mut Failures) -> Duration {
        let (why, pauses, failures) = match failure {
            Failure::Away(why) => (why, AWAY, &mut failures.away),
            Failure::Refused(why) => (why, REFUSED, &mut failures.refused),
        };
        let words = format!("{}: {why}", self.directory);
        let pause = pause(pauses, *failures);
        *failures += 1;
        match self.certificate.standing(Timestamp::now()) {
            Standing::Good | Standing::EndsSoon(_) => {
                tracing::warn!("the certificate is not renewed: {words}; again in {pause:?}");
            }
            Standing::None | Standing::Ended(_) => {
                tracing::error!("no certificate: {words}; again in {pause:?}");
            }
        }
        self.certificate.failed(words);
        pause
    }
}

/// Twice as long after each failure.
fn pause([first, most]: [Duration; 2], failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures)).min(most)
}

/// `https://acme.example/directory` as the name of a folder. Another authority's account and certificate are other files:
/// one tried with a test authority is not taken for a real one.
fn folder_name(directory: &str) -> String {
    let name = directory.trim_start_matches("https://");
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}

/// Writes for the owner alone, off the threads that serve; after a crash the file is the old one or the new one.
async fn replace(path: PathBuf, text: String) -> Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let new = path.with_extension("new");
        write(&new, &text, 0o600)?;
        std::fs::rename(&new, &path)?;
        #[cfg(unix)]
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    });
    written.await.map_err(|e| Error::Internal(e.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_at_most_five_times_in_the_first_hour_and_never_given_up() {
        let tries = (0..100).scan(Duration::ZERO, |at, failures| {
            *at += pause(REFUSED, failures);
            Some(*at)
        });
        // The first try is at 0.
        let early = 1 + tries.take_while(|at| *at <= Duration::from_secs(3600)).count();
        assert_eq!(early, 5);
        assert_eq!(pause(REFUSED, 100), Duration::from_secs(12 * 3600));
        assert_eq!([0, 1, 2, 100].map(|n| pause(AWAY, n).as_secs()), [5, 10, 20, 300]);
    }

    #[tokio::test]
    async fn a_kept_certificate_is_renewed_after_two_thirds_and_one_of_other_names_or_broken_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let open = |names: &[&str]| {
            let names = names.iter().map(|n| (*n).to_owned()).collect();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder =
                ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let tls = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
            Acme::new(names, "", "https://acme.example/dir", Arc::new(tls), dir.path()).unwrap()
        };
        assert_eq!(open(&["a.example"]).due(), Timestamp::MIN, "there is none");
        let mut params =
            rcgen::CertificateParams::new(["a.example".to_owned(), "b.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 4, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap();
        let file = dir.path().join("acme.example_dir/certificate.pem");
        replace(file.clone(), format!("{}{}", key.serialize_pem(), chain.pem())).await.unwrap();
        assert_eq!(open(&["b.example"]).due(), "2026-03-02T00:00:00Z".parse().unwrap());
        assert_eq!(open(&["a.example", "c.example"]).due(), Timestamp::MIN, "not for all names");
        replace(file, chain.pem()).await.unwrap();
        assert_eq!(open(&["a.example"]).due(), Timestamp::MIN, "its key is lost");
    }

    #[test]
    fn each_authority_has_a_folder_of_its_own() {
        assert_eq!(folder_name("https://acme.example/a/directory"), "acme.example_a_directory");
        assert_eq!(folder_name("https://127.0.0.1:14000/../dir"), "127.0.0.1_14000_.._dir");
    }
}
