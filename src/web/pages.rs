//! The pages: each takes a plain model and gives HTML. Words are the catalogue's (`dashboards/i18n`), layout is the
//! template's (`dashboards/templates`), judgements are the model's. No handler and no query here.

pub mod cut;
pub mod import;
pub mod lang;
pub mod overview;
pub mod patrols;
pub mod query;
pub mod report;
mod row;
#[cfg(test)]
mod samples;
pub mod sign_in;
pub mod timeline;
pub mod trust;
pub mod verify;

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use jiff::Timestamp;

use self::lang::Lang;
use super::assets::href;
use crate::{
    clock::beijing,
    error::{Error, Result},
};

/// What a page may load: its own files, nothing inline, nothing from elsewhere. Maps and charts that stand in a
/// page use presentation attributes, never `style`.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A page as an answer, with what it may load. `chosen` is the language of `?lang=`, kept in a
/// cookie.
#[must_use]
pub fn respond(status: StatusCode, html: String, chosen: Option<Lang>) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)];
    let cookie = chosen.map(|lang| [(header::SET_COOKIE, lang.cookie())]);
    match cookie {
        Some(cookie) => (status, headers, cookie, Html(html)).into_response(),
        None => (status, headers, Html(html)).into_response(),
    }
}

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    Overview,
    Timeline,
    Patrols,
    Import,
    Verify,
    Elsewhere,
}

/// What stands around every page.
struct Shell<'a> {
    lang: Lang,
    place: &'a str,
    demo: bool,
    here: Here,
    cut_off: Option<Timestamp>,
    log_size: u64,
    /// This page in the other language.
    other_href: String,
}

impl Shell<'_> {
    fn asset(&self, name: &str) -> String {
        href(name)
    }

    fn sprite(&self) -> String {
        href("icons.svg")
    }

    fn log_size_words(&self) -> String {
        grouped(self.log_size)
    }

    /// Up to when, and over how many entries.
    fn foot(&self) -> String {
        let (time, size) = (self.cut_off_words(), self.log_size_words());
        self.lang.fill("shell.foot", &[("time", &time), ("size", &size)])
    }

    fn clock(&self) -> String {
        self.cut_off.map(|t| beijing(t).strftime("%H:%M:%S").to_string()).unwrap_or_default()
    }

    fn cut_off_words(&self) -> String {
        self.cut_off.map(|t| beijing(t).strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
    }
}

/// A page for an answer that is not what was asked for.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What to say beside the general words: the error's own text, or empty for faults of ours.
    pub detail: &'a str,
    /// 吉家湖.
    pub place: &'a str,
    /// From a demo data directory.
    pub demo: bool,
}

#[derive(Template)]
#[template(path = "problem.html", config = "dashboards/askama.toml")]
struct ProblemPage<'a> {
    shell: Shell<'a>,
    status: u16,
    words: &'static str,
    detail: &'a str,
}

/// The error page. Says what is the matter and where to go on.
///
/// # Errors
/// [`Error::Internal`] if the template fails, which it has no reason to.
pub fn problem(view: &Problem<'_>, lang: Lang) -> Result<String> {
    let key = match view.status {
        404 | 410 => "status.404",
        400 | 422 => "status.400",
        503 | 507 => "status.503",
        _ => "status.500",
    };
    let shell = Shell {
        lang,
        place: view.place,
        demo: view.demo,
        here: Here::Elsewhere,
        cut_off: None,
        log_size: 0,
        other_href: format!("/?lang={}", lang.other().code()),
    };
    render(&ProblemPage { shell, status: view.status, words: lang.t(key), detail: view.detail })
}

fn render(page: &impl Template) -> Result<String> {
    page.render().map_err(|e| Error::Internal(format!("template: {e}")))
}

/// `12,345`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of millimetres or metres as people write it: one decimal, none where it is 0.
fn decimal(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The start of a hash, enough to compare by eye.
fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// The notice under a map, for those who cannot read the Chinese one that `picture` draws on it.
fn notice(place_notice: &str, lang: Lang) -> &'static str {
    if lang == Lang::En && !place_notice.is_empty() { lang.t("map.notice") } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(decimal(12.04), "12");
        assert_eq!(decimal(0.44), "0.4");
    }

    #[test]
    fn an_error_page_says_what_and_escapes_it() {
        let view = Problem { status: 404, detail: "<b>x</b>", place: "吉家湖", demo: true };
        let html = problem(&view, Lang::Zh).unwrap();
        assert!(html.contains("404") && html.contains("演示数据"));
        assert!(!html.contains("<b>x</b>"), "a detail is text, never markup");
    }
}
