//! TLS by our own rustls and provider: as a client, one way for every part that calls out, and [`call`] for one request; as
//! a server in [`server`], with an authority of the office's own in [`authority`], or certificates of a public one by [`acme`].

pub mod acme;
pub mod authority;
pub mod call;
pub mod server;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// Trusts the authorities of the PEM file, or the system's where it is empty.
///
/// # Errors
/// `Invalid` at `ca_file` for a file that cannot be read or names no authority.
pub fn client(ca_file: &Path) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Internal(format!("TLS: {e}")))?;
    Ok(Arc::new(builder.with_root_certificates(roots(ca_file)?).with_no_client_auth()))
}

fn roots(ca_file: &Path) -> Result<RootCertStore> {
    let refuse = |why: String| Error::invalid("ca_file", why);
    let mut roots = RootCertStore::empty();
    if ca_file.as_os_str().is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let read = |e: rustls::pki_types::pem::Error| refuse(format!("{}: {e}", ca_file.display()));
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(read)? {
            roots
                .add(certificate.map_err(read)?)
                .map_err(|e| refuse(format!("{}: {e}", ca_file.display())))?;
        }
    }
    if roots.is_empty() {
        return Err(refuse("no certificate found; name a PEM file with the authority to trust".into()));
    }
    Ok(roots)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}
