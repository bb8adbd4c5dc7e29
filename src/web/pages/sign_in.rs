//! The pages around signing in: login, the link that lets in once, the own account, and the administrator's people. What
//! they show of people is asked for by their scripts, from the API.

use askama::Template;

use super::{Here, Shell, lang::Lang, render};
use crate::error::{Error, Result};
use crate::people::Role;

/// The form that signs in.
#[derive(Debug)]
pub struct LoginPage<'a> {
    /// Where to go then: a path of this service.
    pub next: &'a str,
    /// What was typed before.
    pub login: &'a str,
    /// Why that did not do.
    pub wrong: Option<&'a Error>,
}

#[derive(Template)]
#[template(path = "login.html", config = "dashboards/askama.toml")]
struct LoginView<'a> {
    shell: Shell<'a>,
    next: &'a str,
    login: &'a str,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "join.html", config = "dashboards/askama.toml")]
struct JoinView<'a> {
    shell: Shell<'a>,
    words: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "account.html", config = "dashboards/askama.toml")]
struct AccountView<'a> {
    shell: Shell<'a>,
    roles: Vec<(&'static str, &'static str)>,
    words: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "people.html", config = "dashboards/askama.toml")]
struct PeopleView<'a> {
    shell: Shell<'a>,
    roles: Vec<(&'static str, &'static str)>,
    units: Vec<(&'a str, &'a str)>,
    words: Vec<(&'static str, &'static str)>,
}

fn shell<'a>(place: &'a str, demo: bool, path: &str, lang: Lang) -> Shell<'a> {
    let other_href = format!("{path}?lang={}", lang.other().code());
    Shell { lang, place, demo, here: Here::Elsewhere, cut_off: None, log_size: 0, other_href }
}

/// `GET /login`.
///
/// # Errors
/// `Internal` if the template fails, which it has no reason to.
pub fn login(view: &LoginPage<'_>, place: &str, demo: bool, lang: Lang) -> Result<String> {
    let wrong = view.wrong.map(|error| match error {
        Error::TooMany(seconds) => lang.fill("login.too_many", &[("n", &seconds.to_string())]),
        Error::Unauthorized(_) => lang.t("login.wrong").to_owned(),
        _ => lang.t("login.fault").to_owned(),
    });
    let shell = shell(place, demo, "/login", lang);
    render(&LoginView { shell, next: view.next, login: view.login, wrong })
}

/// `GET /join`.
///
/// # Errors
/// `Internal` if the template fails, which it has no reason to.
pub fn join(place: &str, demo: bool, lang: Lang) -> Result<String> {
    render(&JoinView { shell: shell(place, demo, "/join", lang), words: lang.under("joining.") })
}

/// `GET /account`.
///
/// # Errors
/// `Internal` if the template fails, which it has no reason to.
pub fn account(place: &str, demo: bool, lang: Lang) -> Result<String> {
    let (roles, words) = (lang.under("role."), lang.under("mine."));
    render(&AccountView { shell: shell(place, demo, "/account", lang), roles, words })
}

/// `GET /people`; `units` are code and name.
///
/// # Errors
/// `Internal` if the template fails, which it has no reason to.
pub fn people(place: &str, units: Vec<(&str, &str)>, demo: bool, lang: Lang) -> Result<String> {
    let role = |role: Role| (role.as_str(), lang.t(&format!("role.{}", role.as_str())));
    let roles = Role::ALL.into_iter().filter(|r| *r != Role::Phone).map(role).collect();
    render(&PeopleView {
        shell: shell(place, demo, "/people", lang),
        roles,
        units,
        words: lang.under("folk."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_text_and_why_it_failed_is_said() {
        let wrong = Error::Unauthorized(String::new());
        let view = LoginPage { next: "/timeline?x=\"1\"", login: "<li>", wrong: Some(&wrong) };
        let html = login(&view, "吉家湖", false, Lang::Zh).unwrap();
        assert!(!html.contains("<li>\"") && !html.contains("x=\"1\"") && html.contains("role=\"alert\""));
        let view = LoginPage { wrong: Some(&Error::TooMany(7)), ..view };
        assert!(login(&view, "吉家湖", false, Lang::En).unwrap().contains("7 s"));
    }

    /// What the scripts say and the catalogue has are the same keys.
    #[test]
    fn every_word_of_the_scripts_is_there() {
        let scripts = [
            ("joining.", include_str!("../../../dashboards/assets/join.js")),
            ("folk.", include_str!("../../../dashboards/assets/people.js")),
            ("mine.", include_str!("../../../dashboards/assets/account.js")),
        ];
        for (prefix, script) in scripts {
            let said = script.split("say(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
            for key in said {
                assert!(!Lang::Zh.t(&format!("{prefix}{key}")).is_empty(), "{prefix}{key}");
            }
            for (key, _) in Lang::Zh.under(prefix) {
                assert!(script.contains(&format!("say(\"{key}\"")), "{prefix}{key} is said nowhere");
            }
        }
    }
}
