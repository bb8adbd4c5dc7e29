//! The options of the connection: session, limits, credentials, TLS.

use std::time::Duration;

use rumqttc::v5::MqttOptions;
use rumqttc::{NetworkOptions, TlsConfiguration, Transport};

use crate::config::Mqtt;
use crate::error::{Error, Result};
use crate::tls;

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
        // rumqttc's own default brings older parts with advisories.
        let tls = tls::client(&config.ca_file).map_err(|e| e.under("mqtt"))?;
        let tls = TlsConfiguration::Rustls(tls);
        options.set_transport(Transport::tls_with_config(tls));
    }
    Ok(options)
}
