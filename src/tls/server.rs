//! TLS as a server: a certificate that is shown until a newer one takes its place, between two handshakes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::acme;
use crate::error::{Error, Result};

/// A certificate whose end is nearer than this is said to end soon.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A certificate with its chain and its key, from PEM files.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    trouble: Option<String>,
}

/// What is shown.
pub(super) struct Held {
    pair: Arc<CertifiedKey>,
    /// Holds from then on.
    pub from: Timestamp,
    /// Holds until then.
    pub until: Timestamp,
    /// The host names that it is for.
    pub names: Vec<String>,
}

/// How long a certificate still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none yet.
    None,
    /// It ended then.
    Ended(Timestamp),
    /// It ends then, and should have been renewed by now.
    EndsSoon(Timestamp),
    /// Nothing is to be done.
    Good,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads chain and key.
    ///
    /// # Errors
    /// `Invalid` at the file that cannot be read, or whose key is another's.
    pub fn read(certificate: &Path, key: &Path) -> Result<Arc<Self>> {
        let new = Self::awaited(certificate, key);
        new.renew()?;
        Ok(Arc::new(new))
    }

    /// One that is still to come.
    pub(super) fn awaited(certificate: &Path, key: &Path) -> Self {
        Self { certificate: certificate.to_owned(), key: key.to_owned(), state: RwLock::default() }
    }

    /// Reads the files again, and serves by what they hold now; as long as they cannot be read, by what they held before.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn renew(&self) -> Result<()> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|e| Error::invalid(path.display().to_string(), e.to_string()))
        };
        self.hold(&read(&self.certificate)?, &read(&self.key)?)
    }

    /// Serves by this chain and key from the next handshake on; lines that are open stay as they are.
    pub(super) fn hold(&self, chain: &[u8], key: &[u8]) -> Result<()> {
        let held = Some(Arc::new(self.parse(chain, key)?));
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State { held, trouble: None };
        Ok(())
    }

    fn parse(&self, chain: &[u8], key: &[u8]) -> Result<Held> {
        let wrong =
            |path: &Path, why: &dyn fmt::Display| Error::invalid(path.display().to_string(), why.to_string());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|e| wrong(&self.certificate, &e))?;
        let first = chain.first().ok_or_else(|| wrong(&self.certificate, &"no certificate found"))?;
        let (from, until, names) = read_first(first).map_err(|e| wrong(&self.certificate, &e))?;
        let secret = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong(&self.key, &e))?;
        let pair = CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|e| {
            wrong(&self.certificate, &format!("{e}; allowed: the chain of {}", self.key.display()))
        })?;
        Ok(Held { pair: Arc::new(pair), from, until, names })
    }

    /// Why there is no newer one, until there is.
    pub fn failed(&self, why: String) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).trouble = Some(why);
    }

    /// Why the last try to renew it failed.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    pub(super) fn held(&self) -> Option<Arc<Held>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).held.clone()
    }

    /// How long it still holds. The last sixth of a short life is soon enough: by then it should have been renewed.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let Some(held) = self.held() else { return Standing::None };
        let soon = SOON.min(held.until.duration_since(held.from) / 6);
        match held.until.duration_since(now) {
            left if left <= SignedDuration::ZERO => Standing::Ended(held.until),
            left if left < soon => Standing::EndsSoon(held.until),
            _ => Standing::Good,
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // None: the handshake fails.
        self.held().map(|held| held.pair.clone())
    }
}

/// From when until when the first certificate of a chain holds, and for which host names.
fn read_first(
    der: &CertificateDer<'_>,
) -> Result<(Timestamp, Timestamp, Vec<String>), x509_cert::der::Error> {
    let certificate = x509_cert::Certificate::from_der(der)?;
    let certificate = certificate.tbs_certificate();
    let names = certificate.get_extension::<SubjectAltName>()?.map_or_else(Vec::new, |(_, names)| {
        let hosts = names.0.into_iter().filter_map(|name| match name {
            GeneralName::DnsName(host) => Some(host.to_string()),
            _ => None,
        });
        hosts.collect()
    });
    let at =
        |time: x509_cert::time::Time| Timestamp::try_from(time.to_system_time()).unwrap_or(Timestamp::MAX);
    Ok((at(certificate.validity().not_before), at(certificate.validity().not_after), names))
}

/// Serves TLS 1.2 and 1.3, HTTP/2 or HTTP/1.1 inside.
///
/// # Errors
/// `Internal` if the provider lacks them.
pub fn server(certificate: Arc<Certificate>) -> Result<Arc<ServerConfig>> {
    with_resolver(certificate, &[b"h2", b"http/1.1"])
}

/// The same, and proves to an ACME authority that the names are ours.
///
/// # Errors
/// As [`server`].
pub fn acme_server(acme: Arc<acme::Acme>) -> Result<Arc<ServerConfig>> {
    with_resolver(acme, &[b"h2", b"http/1.1", acme::PROTOCOL])
}

fn with_resolver(resolver: Arc<dyn ResolvesServerCert>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Internal(format!("TLS: {e}")))?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// Of 2026, from this day of a month to that one.
    fn held(from: (u8, u8), until: (u8, u8)) -> Certificate {
        let mut params = CertificateParams::new(["a.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, from.0, from.1);
        params.not_after = date_time_ymd(2026, until.0, until.1);
        let key = KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap();
        let certificate = Certificate::awaited(Path::new("chain.pem"), Path::new("key.pem"));
        certificate.hold(chain.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        certificate
    }

    #[test]
    fn its_end_is_near_in_the_last_week_or_the_last_sixth() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let long = held((1, 1), (4, 1));
        assert_eq!(long.held().unwrap().names, ["a.example"], "host names alone");
        let end = at("2026-04-01T00:00:00Z");
        assert_eq!(long.standing(at("2026-03-24T23:59:59Z")), Standing::Good);
        assert_eq!(long.standing(at("2026-03-25T00:00:01Z")), Standing::EndsSoon(end));
        assert_eq!(long.standing(end), Standing::Ended(end));
        let short = held((1, 1), (1, 7));
        assert_eq!(
            short.standing(at("2026-01-05T23:59:59Z")),
            Standing::Good,
            "six days, renewed after four"
        );
        assert_eq!(
            short.standing(at("2026-01-06T00:00:01Z")),
            Standing::EndsSoon(at("2026-01-07T00:00:00Z"))
        );
        let none = Certificate::awaited(Path::new("c"), Path::new("k"));
        assert_eq!(none.standing(end), Standing::None);
    }

    #[test]
    fn what_cannot_be_used_leaves_what_is_shown() {
        let shown = held((1, 1), (4, 1));
        let before = shown.held().unwrap().until;
        let other = KeyPair::generate().unwrap();
        let chain = held((2, 1), (3, 1)).held().unwrap().pair.cert[0].clone();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &chain)
        );
        let said = shown.hold(pem.as_bytes(), other.serialize_pem().as_bytes()).unwrap_err().to_string();
        assert!(said.contains("chain.pem") && said.contains("allowed: the chain of key.pem"), "{said}");
        let said = shown.hold(b"", other.serialize_pem().as_bytes()).unwrap_err().to_string();
        assert!(said.contains("chain.pem: no certificate"), "{said}");
        assert_eq!(shown.held().unwrap().until, before);
    }
}
