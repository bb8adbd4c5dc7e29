//! The page that brings in what a phone had not sent. The sending is the script's (`dashboards/assets/import.js`); here are
//! its words.

use askama::Template;

use super::{Here, Shell, lang::Lang, render};
use crate::error::Result;

/// Prefix of what the script says, in the catalogues.
const SAID: &str = "take.";

#[derive(Template)]
#[template(path = "import.html", config = "dashboards/askama.toml")]
struct ImportPage<'a> {
    shell: Shell<'a>,
    words: Vec<(&'static str, &'static str)>,
}

/// The page.
///
/// # Errors
/// [`crate::error::Error::Internal`] if the template fails, which it has no reason to.
pub fn import(place: &str, demo: bool, lang: Lang) -> Result<String> {
    render(&ImportPage {
        shell: Shell {
            lang,
            place,
            demo,
            here: Here::Import,
            cut_off: None,
            log_size: 0,
            other_href: format!("/import?lang={}", lang.other().code()),
        },
        words: lang.under(SAID),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// What the script says and the catalogue has are the same keys.
    #[test]
    fn everything_said_has_its_words() {
        let script = include_str!("../../../dashboards/assets/import.js");
        for lang in [Lang::Zh, Lang::En] {
            let html = import("吉家湖", true, lang).unwrap();
            assert!(html.contains("data-key=\"refused_whole\""));
            let (page, _) = html.split_once("<ul id=\"words\"").unwrap();
            samples::check_page(page);
        }
        for (key, _) in Lang::Zh.under(SAID) {
            let made = key.starts_with("mark.");
            assert!(made || script.contains(&format!("\"{key}\"")), "{key} is said nowhere");
        }
        for (key, _) in script.split("fill(").skip(1).filter_map(|p| p.strip_prefix('"')?.split_once('"')) {
            assert!(!Lang::Zh.t(&format!("{SAID}{key}")).is_empty(), "{key} has no words");
        }
    }
}
