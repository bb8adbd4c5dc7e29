//! HTTPS: whose certificate, how it is renewed, and the plain address beside it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jijia::config::{Config, Tls, TlsMode};
use jijia::error::{Error, Result};
use jijia::store::off_thread;
use jijia::tls::acme::{self, Acme};
use jijia::tls::server::{self, Certificate};
use jijia::tls::{self, authority};
use jijia::web::{self, App};
use rustls::ClientConfig;
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

/// What the service shows, by whom it is renewed.
pub enum Shown {
    /// The operator.
    Files(Arc<Certificate>),
    /// The office's own authority, whose certificate is the PEM, for these names.
    Local(Arc<Certificate>, String, Vec<String>),
    /// An ACME authority.
    Acme(Arc<Acme>),
}

impl Shown {
    pub fn certificate(&self) -> &Arc<Certificate> {
        match self {
            Self::Files(certificate) | Self::Local(certificate, ..) => certificate,
            Self::Acme(acme) => acme.certificate(),
        }
    }

    /// PEM of the office's own authority.
    pub fn authority(&self) -> Option<&str> {
        match self {
            Self::Local(_, authority, _) => Some(authority),
            Self::Files(_) | Self::Acme(_) => None,
        }
    }
}

/// The configured certificate; of the local authority a fresh one.
pub fn certificate(config: &Config, address: SocketAddr, now: Timestamp) -> Result<Option<Shown>> {
    let (tls, dir) = (&config.tls, config.data.dir.join("tls"));
    Ok(match tls.mode {
        TlsMode::Off => None,
        TlsMode::Files => Some(Shown::Files(of_files(tls)?)),
        TlsMode::Local => {
            let names = names(config, address);
            let issued = authority::issue(&dir, &names, now)?;
            let certificate = Certificate::read(&issued.certificate, &issued.key)?;
            let authority = std::fs::read_to_string(&issued.authority)?;
            Some(Shown::Local(certificate, authority, names))
        }
        TlsMode::Acme => {
            let names = tls.acme_names(&config.server.public_url)?;
            let (contact, directory) = (&tls.acme_contact, &tls.acme_directory);
            Some(Shown::Acme(Acme::new(names, contact, directory, trust(tls)?, &dir.join("acme"))?))
        }
    })
}

fn of_files(tls: &Tls) -> Result<Arc<Certificate>> {
    Certificate::read(&tls.certificate_file, &tls.key_file).map_err(|e| e.under("tls"))
}

/// How the ACME authority is trusted.
fn trust(tls: &Tls) -> Result<Arc<ClientConfig>> {
    tls::client(&tls.acme_ca_file).map_err(|e| match e {
        Error::Invalid { message, .. } => Error::invalid("tls.acme_ca_file", message),
        other => other,
    })
}

/// Whether the files can be read that the configuration names.
pub fn check(tls: &Tls) -> Result<()> {
    match tls.mode {
        TlsMode::Off | TlsMode::Local => Ok(()),
        TlsMode::Files => of_files(tls).map(|_| ()),
        TlsMode::Acme => trust(tls).map(|_| ()),
    }
}

/// What the local certificate is to be for: configured names, the public one, this machine.
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
    let how = match &shown {
        Shown::Acme(acme) => server::acme_server(acme.clone())?,
        _ => server::server(shown.certificate().clone())?,
    };
    if let Some(warning) = web::warnings::certificate(shown.certificate(), app.store.clock().now()) {
        tracing::warn!("{}", warning.words);
    }
    parts.spawn(web::serve(listener, Some(how), app.clone(), stopped(stop.clone())));
    let (dir, stopping) = (config.data.dir.join("tls"), stopped(stop.clone()));
    parts.spawn(async move {
        tokio::select! {
            () = renew(shown, &dir) => {}
            () = stopping => {}
        }
        Ok(())
    });
    if let Some(address) = config.tls.http_address() {
        let plain = bind("tls.http_listen", address).await?;
        tracing::info!("sending on to HTTPS from http://{}", plain.local_addr()?);
        parts.spawn(web::send_on(plain, https.port(), app.clone(), stopped(stop.clone())));
    }
    Ok(())
}

/// Reads the files again every hour; the local authority issues a new certificate every month, one of ACME when it is time.
async fn renew(shown: Shown, dir: &Path) {
    if let Shown::Acme(acme) = shown {
        return acme::run(acme).await;
    }
    let certificate = shown.certificate();
    for hour in 1_u32.. {
        tokio::time::sleep(AGAIN).await;
        let names = match &shown {
            Shown::Local(_, _, names) if hour % ISSUE_AFTER == 0 => Some(names.clone()),
            _ => None,
        };
        let (files, dir) = (certificate.clone(), dir.to_owned());
        let renewed = off_thread(move || {
            names.map_or(Ok(()), |names| authority::issue(&dir, &names, Timestamp::now()).map(|_| ()))?;
            files.renew()
        });
        // What was shown before is shown on: the operator reads why in the log.
        if let Err(error) = renewed.await {
            tracing::error!(%error, "the certificate could not be renewed");
            certificate.failed(error.to_string());
        }
    }
}
