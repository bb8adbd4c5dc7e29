//! The page by which a phone comes to trust the office's own authority.

use askama::Template;

use super::{Here, Shell, lang::Lang, render};
use crate::error::Result;

/// What it shows.
#[derive(Debug)]
pub struct TrustPage<'a> {
    /// Where the certificate is fetched.
    pub certificate: &'a str,
    /// Its SHA-256, to be compared; `None` where the service has no authority of its own.
    pub fingerprint: Option<&'a str>,
    /// This page's address.
    pub here: &'a str,
    /// The same as a QR code (SVG).
    pub svg: &'a str,
}

#[derive(Template)]
#[template(path = "trust.html", config = "dashboards/askama.toml")]
struct TrustView<'a> {
    shell: Shell<'a>,
    view: &'a TrustPage<'a>,
    steps: [(&'static str, [&'static str; 3]); 2],
}

/// The page.
///
/// # Errors
/// [`crate::error::Error::Internal`] if the template fails, which it has no reason to.
pub fn trust(view: &TrustPage<'_>, place: &str, demo: bool, lang: Lang) -> Result<String> {
    let other_href = format!("/trust?lang={}", lang.other().code());
    let shell = Shell { lang, place, demo, here: Here::Elsewhere, cut_off: None, log_size: 0, other_href };
    let android = ["trust.android.1", "trust.android.2", "trust.android.3"].map(|key| lang.t(key));
    let iphone = ["trust.iphone.1", "trust.iphone.2", "trust.iphone.3"].map(|key| lang.t(key));
    let steps = [(lang.t("trust.android"), android), (lang.t("trust.iphone"), iphone)];
    render(&TrustView { shell, view, steps })
}
