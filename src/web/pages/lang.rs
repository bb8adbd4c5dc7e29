//! The two languages of the pages: one flat catalogue each (`dashboards/i18n/*.json`), the same keys in both.

use std::{collections::HashMap, fmt::Display, sync::LazyLock};

use jiff::Timestamp;

use crate::clock::beijing;

type Catalogue = HashMap<String, String>;

static ZH: LazyLock<Catalogue> = LazyLock::new(|| parse(include_str!("../../../dashboards/i18n/zh-CN.json")));
static EN: LazyLock<Catalogue> = LazyLock::new(|| parse(include_str!("../../../dashboards/i18n/en.json")));

/// Keeps a choice; no script reads it.
const COOKIE: &str = "__Host-jijia-lang";

/// The files are part of the binary and parsed in a test, so they cannot be wrong here.
fn parse(text: &str) -> Catalogue {
    serde_json::from_str(text).unwrap_or_default()
}

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// 中文.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// What the page is asked for in: `?lang=` first, then the cookie, then Chinese.
    #[must_use]
    pub fn pick(query: Option<&str>, cookies: Option<&str>) -> Self {
        let cookie = cookies
            .and_then(|c| c.split(';').filter_map(|p| p.trim().split_once('=')).find(|p| p.0 == COOKIE));
        match query.or(cookie.map(|p| p.1)) {
            Some("en") => Self::En,
            _ => Self::Zh,
        }
    }

    /// The `Set-Cookie` value that keeps a choice made by `?lang=`.
    #[must_use]
    pub fn cookie(self) -> String {
        format!("{COOKIE}={}; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax", self.code())
    }

    /// `zh` or `en`, as in `?lang=`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// The HTML `lang` attribute.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// The other language, for the switch.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }

    /// The text of a key. A test checks that every key used is in both catalogues.
    #[must_use]
    pub fn t(self, key: &str) -> &'static str {
        let catalogue = match self {
            Self::Zh => &*ZH,
            Self::En => &*EN,
        };
        catalogue.get(key).map_or("", String::as_str)
    }

    /// All keys that begin with `prefix`, without it, and their texts, in order.
    #[must_use]
    pub fn under(self, prefix: &str) -> Vec<(&'static str, &'static str)> {
        let catalogue = match self {
            Self::Zh => &*ZH,
            Self::En => &*EN,
        };
        let key = |(key, text): (&'static String, &'static String)| {
            Some((key.strip_prefix(prefix)?, text.as_str()))
        };
        let mut all: Vec<_> = catalogue.iter().filter_map(key).collect();
        all.sort_unstable();
        all
    }

    /// The text of a key with its `{names}` filled in. `one|many` is chosen by the first argument.
    #[must_use]
    pub fn fill(self, key: &str, arguments: &[(&str, &dyn Display)]) -> String {
        let text = self.t(key);
        let one = arguments.first().is_some_and(|a| a.1.to_string() == "1");
        let text = match text.split_once('|') {
            Some((singular, plural)) => {
                if one {
                    singular
                } else {
                    plural
                }
            }
            None => text,
        };
        arguments
            .iter()
            .fold(text.to_owned(), |t, (name, value)| t.replace(&format!("{{{name}}}"), &value.to_string()))
    }

    /// How long ago, in words: `3 分钟前`.
    #[must_use]
    pub fn age(self, at: Timestamp, now: Timestamp) -> String {
        match now.as_second() - at.as_second() {
            ..60 => self.t("age.now").to_owned(),
            s @ 60..3600 => self.fill("age.minutes", &[("n", &(s / 60))]),
            s @ 3600..172_800 => self.fill("age.hours", &[("n", &(s / 3600))]),
            s => self.fill("age.days", &[("n", &(s / 86_400))]),
        }
    }

    /// `7月14日 05:20` or `14 Jul 05:20`, 北京时间.
    #[must_use]
    pub fn minute(self, at: Timestamp) -> String {
        let z = beijing(at);
        match self {
            Self::Zh => crate::clock::beijing_words(at),
            Self::En => z.strftime("%-d %b %H:%M").to_string(),
        }
    }

    /// `2026年7月14日 周二` or `Tue 14 Jul 2026`, 北京时间.
    #[must_use]
    pub fn day(self, at: Timestamp) -> String {
        let z = beijing(at);
        match self {
            Self::Zh => {
                let weekday = ["一", "二", "三", "四", "五", "六", "日"];
                let name = weekday[usize::from(z.weekday().to_monday_zero_offset().unsigned_abs()) % 7];
                format!("{}年{}月{}日 周{name}", z.year(), z.month(), z.day())
            }
            Self::En => z.strftime("%a %-d %b %Y").to_string(),
        }
    }

    /// The name of a property in this language.
    #[must_use]
    pub fn property(self, key: &str, zh: &str) -> String {
        let name = self.t(&format!("property.{key}"));
        if name.is_empty() { zh.to_owned() } else { name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn keys(text: &str) -> BTreeSet<String> {
        serde_json::from_str::<HashMap<String, String>>(text).unwrap().into_keys().collect()
    }

    #[test]
    fn both_catalogues_have_the_same_keys_and_names_in_braces() {
        let zh = include_str!("../../../dashboards/i18n/zh-CN.json");
        let en = include_str!("../../../dashboards/i18n/en.json");
        assert_eq!(keys(zh), keys(en));
        let names = |text: &str| -> BTreeSet<String> {
            text.split('{').skip(1).filter_map(|p| p.split_once('}')).map(|p| p.0.to_owned()).collect()
        };
        for key in keys(zh) {
            assert_eq!(names(Lang::Zh.t(&key)), names(Lang::En.t(&key)), "{key}");
            assert!(!Lang::Zh.t(&key).is_empty() && !Lang::En.t(&key).is_empty(), "{key} is empty");
        }
    }

    /// Keys made at run time (`kind.` + …) are known by their prefix.
    const MADE: [&str; 16] = [
        "alarm.",
        "told.",
        "kind.",
        "level.",
        "weather.",
        "property.",
        "status.",
        "crs.",
        "check.",
        "role.",
        "folk.",
        "joining.",
        "mine.",
        "state.",
        "flag.",
        "take.",
    ];

    #[test]
    fn every_key_used_is_known_and_every_key_known_is_used() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut all = std::fs::read_to_string(root.join("src/web/pages.rs")).unwrap();
        for folder in ["dashboards/templates", "src/web/pages"] {
            for file in std::fs::read_dir(root.join(folder)).unwrap() {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                all.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
        let mut used = BTreeSet::new();
        for call in [".t(\"", ".fill(\""] {
            used.extend(all.split(call).skip(1).filter_map(|p| p.split_once('"')).map(|p| p.0.to_owned()));
        }
        let known = keys(include_str!("../../../dashboards/i18n/zh-CN.json"));
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "not in the catalogues: {unknown:?}");
        let unused: Vec<_> = known
            .iter()
            .filter(|k| !all.contains(&format!("\"{k}\"")) && !MADE.iter().any(|m| k.starts_with(m)))
            .collect();
        assert!(unused.is_empty(), "never used: {unused:?}");
    }

    #[test]
    fn made_keys_are_all_there() {
        use crate::{casework::EvidenceLevel, patrol::ReportKind, water::rain::Weather};
        for kind in ["sewage_outflow", "water_hyacinth", "other", "nothing_found"] {
            let zh = kind.parse::<ReportKind>().unwrap().zh();
            assert_eq!(Lang::Zh.t(&format!("kind.{kind}")), zh);
        }
        for level in [EvidenceLevel::E0, EvidenceLevel::E1, EvidenceLevel::E2] {
            assert_eq!(Lang::Zh.t(&format!("level.{level:?}")), level.wording());
        }
        for weather in [Weather::Dry, Weather::Wet, Weather::Unknown] {
            assert_eq!(Lang::Zh.t(&format!("weather.{weather:?}")), weather.zh());
        }
        use crate::patrol::duty::{DutyFlag, DutyState};
        for state in [DutyState::Walked, DutyState::NotWalked, DutyState::Excused, DutyState::Open] {
            assert_eq!(Lang::Zh.t(&format!("state.{state:?}")), state.zh());
        }
        for flag in DutyFlag::ALL {
            assert_eq!(Lang::Zh.t(&format!("flag.{flag:?}")), flag.zh());
        }
        for property in crate::water::property::PROPERTIES {
            assert_eq!(Lang::Zh.t(&format!("property.{}", property.key)), property.zh);
        }
    }

    #[test]
    fn the_language_is_the_query_s_then_the_cookie_s() {
        assert_eq!(Lang::pick(None, None), Lang::Zh);
        assert_eq!(Lang::pick(Some("en"), Some("__Host-jijia-lang=zh")), Lang::En);
        assert_eq!(Lang::pick(None, Some("a=b; __Host-jijia-lang=en")), Lang::En);
        assert_eq!(Lang::pick(Some("xx"), None), Lang::Zh);
    }

    #[test]
    fn ages_are_words() {
        let now: Timestamp = "2026-07-14T00:00:00Z".parse().unwrap();
        let ago = |s: i64| Lang::En.age(Timestamp::from_second(now.as_second() - s).unwrap(), now);
        assert_eq!(ago(30), "just now");
        assert_eq!(ago(60), "1 min ago");
        assert_eq!(ago(7200), "2 h ago");
        assert_eq!(ago(200_000), "2 days ago");
    }
}
