//! HTTPS: whose certificate, how it is renewed, and the plain address beside it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jijia::config::{Config, TlsMode};
use jijia::error::{Error, Result};
use jijia::tls::authority;
use jijia::tls::server::{self, Certificate};
use jijia::web::{self, App, TlsListener};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::bind;
use super::parts::Parts;
use super::people::own_address;
use super::signals::stopped;

/// How often the files are read again.
const AGAIN: Duration = Duration::from_secs(3600);
/// A certificate of the local authority is issued anew after so many of these: a month of ninety days.
const ISSUE_AFTER: u32 = 24 * 30;

/// What the service shows.
pub struct Shown {
    certificate: Arc<Certificate>,
    names: Vec<String>,
    /// PEM of the office's own authority.
    pub authority: Option<String>,
}

/// The configured certificate; of the local authority a fresh one.
pub fn certificate(config: &Config, address: SocketAddr, now: Timestamp) -> Result<Option<Shown>> {
    let tls = &config.tls;
    match tls.mode {
        TlsMode::Off => Ok(None),
        TlsMode::Files => {
            let certificate =
                Certificate::read(&tls.certificate_file, &tls.key_file).map_err(|e| e.under("tls"))?;
            Ok(Some(Shown { certificate, names: Vec::new(), authority: None }))
        }
        TlsMode::Local => {
            let names = names(config, address);
            let issued = authority::issue(&config.data.dir.join("tls"), &names, now)?;
            let certificate = Certificate::read(&issued.certificate, &issued.key)?;
            let authority = Some(std::fs::read_to_string(&issued.authority)?);
            Ok(Some(Shown { certificate, names, authority }))
        }
    }
}

/// What the certificate is to be for: configured names, the public one, this machine.
fn names(config: &Config, address: SocketAddr) -> Vec<String> {
    let public = url::Url::parse(&config.server.public_url).ok();
    let public = public.and_then(|url| url.host_str().map(|h| h.trim_matches(['[', ']']).to_owned()));
    let own: Vec<IpAddr> =
        if address.ip().is_unspecified() { own_address().into_iter().collect() } else { vec![address.ip()] };
    let mut names: Vec<String> = config.tls.names.iter().cloned().chain(public).collect();
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    names.extend(own.into_iter().filter(|ip| authority::is_private(*ip)).map(|ip| ip.to_string()));
    names.sort();
    names.dedup();
    names
}

/// Serves by TLS, renews the certificate, and opens the plain address that sends on.
pub async fn serve(
    config: &Config,
    shown: Shown,
    listener: TcpListener,
    app: &App,
    stop: &watch::Receiver<bool>,
    parts: &mut Parts,
) -> Result<()> {
    let https = listener.local_addr()?;
    let tls = TlsListener::new(listener, server::server(shown.certificate.clone())?)?;
    parts.spawn(web::serve(tls, app.clone(), stopped(stop.clone())));
    parts.spawn(renew(config.clone(), shown, stop.clone()));
    if let Some(address) = config.tls.http_address() {
        let plain = bind("tls.http_listen", address).await?;
        tracing::info!("sending on to HTTPS from http://{}", plain.local_addr()?);
        parts.spawn(web::send_on(plain, https.port(), app.clone(), stopped(stop.clone())));
    }
    Ok(())
}

/// Reads the files again every hour; the local authority issues a new certificate every month.
async fn renew(config: Config, shown: Shown, stop: watch::Receiver<bool>) -> Result<()> {
    for hour in 1_u32.. {
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stopped(stop.clone()) => break,
        }
        let issued = if shown.authority.is_some() && hour % ISSUE_AFTER == 0 {
            authority::issue(&config.data.dir.join("tls"), &shown.names, Timestamp::now()).map(|_| ())
        } else {
            Ok(())
        };
        // What was shown before is shown on: the operator reads why in the log.
        if let Err(error) = issued.and_then(|()| shown.certificate.renew()) {
            tracing::error!(%error, "the certificate could not be renewed");
        }
    }
    Ok::<_, Error>(())
}
