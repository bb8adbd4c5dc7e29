//! The options of the connection: session, limits, credentials, TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::MqttOptions;
use rumqttc::{NetworkOptions, TlsConfiguration, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::Mqtt;
use crate::error::{Error, Result};

/// How often the broker hears from us at least. rumqttc refuses less than 5 s.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// # Errors
/// `Invalid` with the key of `[mqtt]` that is wrong.
pub(super) fn options(config: &Mqtt) -> Result<MqttOptions> {
    if config.host.is_empty() || config.client_id.is_empty() {
        let field = if config.host.is_empty() { "mqtt.host" } else { "mqtt.client_id" };
        return Err(Error::invalid(field, "is empty; the broker keeps our session under a fixed client id"));
    }
    if config.receive_maximum == 0 || config.max_packet_bytes < 256 {
        return Err(Error::invalid("mqtt.receive_maximum", "at least 1, and max_packet_bytes at least 256"));
    }
    let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        // What is not acknowledged stays with the broker while we are away.
        .set_clean_start(false)
        .set_session_expiry_interval(Some(config.session_expiry_s))
        .set_manual_acks(true)
        .set_receive_maximum(Some(config.receive_maximum))
        // Also lifts rumqttc's own limit of 10 KiB: one larger message would end every connection, for good.
        .set_max_packet_size(Some(config.max_packet_bytes))
        // We publish nothing; the default allots room for 65,535 messages under way.
        .set_outgoing_inflight_upper_limit(1);
    // Else an acknowledgement waits for the one before it to be confirmed: 40 ms on Linux.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if !config.username.is_empty() {
        options.set_credentials(&config.username, config.password.reveal());
    }
    if config.tls {
        let tls = TlsConfiguration::Rustls(Arc::new(tls(&config.ca_file)?));
        options.set_transport(Transport::tls_with_config(tls));
    }
    Ok(options)
}

/// Own rustls, own provider: rumqttc's default brings older parts with advisories.
fn tls(ca_file: &Path) -> Result<ClientConfig> {
    let roots = roots(ca_file)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Internal(format!("TLS: {e}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The authorities to trust: those of the file, else the system's.
fn roots(ca_file: &Path) -> Result<RootCertStore> {
    let refuse = |why: String| Error::invalid("mqtt.ca_file", why);
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
        return Err(refuse("no certificate found; name a PEM file with the broker's authority".into()));
    }
    Ok(roots)
}
