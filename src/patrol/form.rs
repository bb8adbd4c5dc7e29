//! The two patrol forms, 巡查记录(污水) and 巡查记录(水葫芦): observed facts only, no conclusion.
//! Fields, words and their order follow the ledger columns of the domain notes. Every field may be left out:
//! what was not looked at stays unknown.

mod hyacinth;
mod sewage;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};

pub use hyacinth::{HyacinthForm, MU_M2};
pub use sewage::{RapidTest, SewageForm};

/// The longest text of a field, characters.
const MAX_TEXT_CHARS: usize = 200;

/// A closed set of words: the key of the API (snake case of the variant) and the word of the paper form.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $key:literal $zh:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $(#[doc = $zh] $variant),+ }

        impl $name {
            /// All of them, in the order of the paper form.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $key),+ }
            }

            /// The word of the paper form.
            #[must_use]
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh),+ }
            }

            /// Finds it by either word.
            #[must_use]
            pub fn find(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == word || v.zh() == word)
            }
        }
    };
}

words! {
    /// 是否有水流.
    Flow { None "none" "无", Trickle "trickle" "滴流", Small "small" "小", Medium "medium" "中", Large "large" "大" }
}
words! {
    /// 颜色.
    Colour {
        Colourless "colourless" "无色", Grey "grey" "灰", Black "black" "黑", Yellow "yellow" "黄",
        Milky "milky" "乳白", Green "green" "绿", Other "other" "其他",
    }
}
words! {
    /// 气味.
    Odour {
        None "none" "无", Faecal "faecal" "粪臭", RottenEgg "rotten_egg" "臭鸡蛋", Oil "oil" "油味",
        Detergent "detergent" "洗涤剂", Other "other" "其他",
    }
}
words! {
    /// 浊度感官.
    Turbidity { Clear "clear" "清", Slight "slight" "略浊", Turbid "turbid" "浊", Black "black" "黑" }
}
words! {
    /// 漂浮物. `none` says that somebody looked and saw none; an empty list says nothing.
    Floatable {
        ToiletPaper "toilet_paper" "卫生纸", OilFilm "oil_film" "油膜", Foam "foam" "泡沫",
        Faeces "faeces" "粪便", None "none" "无",
    }
}
words! {
    /// 快检: what a field kit measures.
    RapidProperty {
        Nh3n "nh3n" "氨氮", Cod "cod" "COD", Ph "ph" "pH", Ec "ec" "电导率", FreeChlorine "free_chlorine" "余氯",
        Las "las" "LAS",
    }
}
words! {
    /// 面积方法.
    AreaMethod { ByEye "by_eye" "目测", Drone "drone" "无人机", Paced "paced" "步测", Rangefinder "rangefinder" "测距" }
}
words! {
    /// 长势.
    Growth { Scattered "scattered" "零星", Patches "patches" "成片", FullCover "full_cover" "封面" }
}

#[derive(Default)]
struct Facts(Vec<(&'static str, String)>);

impl Facts {
    fn text(&mut self, heading: &'static str, words: Option<String>) {
        self.0.extend(words.filter(|w| !w.is_empty()).map(|w| (heading, w)));
    }

    fn number(&mut self, heading: &'static str, number: Option<f64>, unit: &str) {
        self.text(heading, number.map(|n| format!("{n} {unit}")));
    }
}

fn within(field: &str, value: Option<f64>, min: f64, max: f64, unit: &str) -> Result<()> {
    match value {
        // NaN and infinity are in no range.
        Some(v) if !(min..=max).contains(&v) => {
            Err(Error::invalid(field, format!("{v}; allowed: {min} to {max} {unit}").trim_end()))
        }
        _ => Ok(()),
    }
}

fn text(field: &str, value: Option<&str>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let chars = value.chars().count();
    if chars > MAX_TEXT_CHARS {
        return Err(Error::invalid(
            field,
            format!("{chars} characters; allowed: up to {MAX_TEXT_CHARS}, longer text goes into the note"),
        ));
    }
    // Word's XML has no place for control characters.
    if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        return Err(Error::invalid(field, "contains control characters; allowed: printable text"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field that `result` blames; its message must say what is allowed.
    pub(super) fn field_of(result: Result<()>) -> String {
        match result {
            Err(Error::Invalid { field, message }) => {
                assert!(message.contains("allowed") || message.contains("`none`"), "{message}");
                field
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_words_of_the_api_are_those_of_serde() {
        fn agree<T: Copy + Serialize>(all: &[T], word: fn(T) -> &'static str) {
            for &v in all {
                assert_eq!(serde_json::to_value(v).unwrap(), word(v));
            }
        }
        agree(Flow::ALL, Flow::as_str);
        agree(Colour::ALL, Colour::as_str);
        agree(Odour::ALL, Odour::as_str);
        agree(Turbidity::ALL, Turbidity::as_str);
        agree(Floatable::ALL, Floatable::as_str);
        agree(RapidProperty::ALL, RapidProperty::as_str);
        agree(AreaMethod::ALL, AreaMethod::as_str);
        agree(Growth::ALL, Growth::as_str);
        assert_eq!(Odour::find("臭鸡蛋"), Odour::find("rotten_egg"));
    }
}
