//! TLS as a server: a certificate in files, which is read again when it was renewed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::error::{Error, Result};

/// A certificate with its chain and its key, from PEM files.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    now: RwLock<Arc<CertifiedKey>>,
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
        let now = RwLock::new(Arc::new(load(certificate, key)?));
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), now }))
    }

    /// Reads the files again, and serves by what they hold now; as long as they cannot be read, by what they held before.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn renew(&self) -> Result<()> {
        let new = Arc::new(load(&self.certificate, &self.key)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let wrong =
        |path: &Path, why: &dyn fmt::Display| Error::invalid(path.display().to_string(), why.to_string());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(certificate, &e))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e))?;
    let pair = CertifiedKey::from_der(chain, secret, &ring::default_provider());
    pair.map_err(|e| wrong(certificate, &format!("{e}; allowed: the chain of {}", key.display())))
}

/// Serves TLS 1.2 and 1.3, HTTP/2 or HTTP/1.1 inside.
///
/// # Errors
/// `Internal` if the provider lacks them.
pub fn server(certificate: Arc<Certificate>) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Internal(format!("TLS: {e}")))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
