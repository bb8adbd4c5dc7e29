//! The page that checks receipts, proofs, bundles and printed heads of the log. The checking is the script's
//! (`dashboards/assets/verify.js`); here are its words.

use askama::Template;

use super::{Here, Shell, lang::Lang, render};
use crate::error::Result;

/// Prefix of what the script says, in the catalogues.
const SAID: &str = "check.";

#[derive(Template)]
#[template(path = "verify.html", config = "dashboards/askama.toml")]
struct VerifyPage<'a> {
    shell: Shell<'a>,
    proves: [&'static str; 3],
    not: [&'static str; 3],
    words: Vec<(&'static str, &'static str)>,
}

/// The page.
///
/// # Errors
/// [`crate::error::Error::Internal`] if the template fails, which it has no reason to.
pub fn verify(place: &str, demo: bool, lang: Lang) -> Result<String> {
    render(&VerifyPage {
        shell: Shell {
            lang,
            place,
            demo,
            here: Here::Verify,
            cut_off: None,
            log_size: 0,
            other_href: format!("/verify?lang={}", lang.other().code()),
        },
        proves: ["verify.proves.1", "verify.proves.2", "verify.proves.3"].map(|key| lang.t(key)),
        not: ["verify.not.1", "verify.not.2", "verify.not.3"].map(|key| lang.t(key)),
        words: lang.under(SAID),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the script says and the catalogue has are the same keys.
    #[test]
    fn every_finding_has_its_words() {
        let scripts = [
            include_str!("../../../dashboards/assets/verify.js"),
            include_str!("../../../dashboards/assets/log-tree.js"),
            include_str!("../../../dashboards/assets/verify-log.js"),
            include_str!("../../../dashboards/assets/verify-bundle.js"),
        ]
        .concat();
        let html = verify("吉家湖", true, Lang::Zh).unwrap();
        assert!(html.contains("data-key=\"forked\"") && html.contains("/assets/verify.js?v="));
        for (key, _) in Lang::Zh.under(SAID) {
            let made = key.starts_with("mark.") || key.starts_with("verdict.");
            assert!(made || scripts.contains(&format!("\"{key}\"")), "{key} is said nowhere");
        }
        let said = scripts.split("Wrong(\"").skip(1).filter_map(|p| p.split_once('"'));
        for (key, _) in said {
            assert!(!Lang::Zh.t(&format!("{SAID}{key}")).is_empty(), "{key} has no words");
        }
    }
}
