//! 巡查记录(污水).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Colour, Facts, Floatable, Flow, Odour, RapidProperty, Turbidity, text, within};
use crate::casework::SewageSigns;
use crate::error::{Error, Result};

/// More rapid tests than kits in a bag are a mistake.
const MAX_RAPID_TESTS: usize = 20;

/// One field test with a kit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RapidTest {
    /// What was measured.
    pub property: RapidProperty,
    /// mg/L; pH units; EC in μS/cm.
    pub value: f64,
    /// The kit's name.
    pub kit: String,
    /// The kit's lot; empty for a probe that has none.
    pub lot: String,
}

/// 巡查记录(污水).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SewageForm {
    /// 前期晴天小时数 as the person wrote it; the level is judged by the rain source, never by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub antecedent_dry_h: Option<f64>,
    /// Rain of the last 24 h as the person knew it, mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rain_24h_mm: Option<f64>,
    /// Rain of the last 72 h as the person knew it, mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rain_72h_mm: Option<f64>,
    /// Where the person knew it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rain_source: Option<String>,
    /// 是否有水流.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// 估算流量, L/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_l_s: Option<f64>,
    /// How it was estimated: bucket and time, section × velocity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_method: Option<String>,
    /// 颜色.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
    /// 气味.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub odour: Option<Odour>,
    /// 浊度感官.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turbidity: Option<Turbidity>,
    /// 漂浮物.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub floatables: Vec<Floatable>,
    /// 颜色程度: 1 faint, 2 easily detected, 3 strong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3)]
    pub severity_colour: Option<u8>,
    /// 气味程度, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3)]
    pub severity_odour: Option<u8>,
    /// 漂浮物程度, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3)]
    pub severity_floatables: Option<u8>,
    /// 快检.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rapid: Vec<RapidTest>,
    /// 天气 in the person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weather: Option<String>,
}

impl SewageForm {
    /// Refuses what no person can have seen.
    ///
    /// # Errors
    /// `Invalid` with the field (`sewage.severity_colour`) and what is allowed.
    pub fn check(&self) -> Result<()> {
        within("sewage.antecedent_dry_h", self.antecedent_dry_h, 0.0, 100_000.0, "h")?;
        within("sewage.rain_24h_mm", self.rain_24h_mm, 0.0, 3_000.0, "mm")?;
        within("sewage.rain_72h_mm", self.rain_72h_mm, 0.0, 5_000.0, "mm")?;
        text("sewage.rain_source", self.rain_source.as_deref())?;
        within("sewage.flow_l_s", self.flow_l_s, 0.0, 1_000_000.0, "L/s")?;
        text("sewage.flow_method", self.flow_method.as_deref())?;
        severity("sewage.severity_colour", self.severity_colour)?;
        severity("sewage.severity_odour", self.severity_odour)?;
        severity("sewage.severity_floatables", self.severity_floatables)?;
        self.check_flow()?;
        self.check_floatables()?;
        self.check_rapid()?;
        text("sewage.weather", self.weather.as_deref())
    }

    fn check_flow(&self) -> Result<()> {
        if self.flow == Some(Flow::None) && self.flow_l_s.is_some_and(|q| q > 0.0) {
            return Err(Error::invalid(
                "sewage.flow_l_s",
                "more than 0 while sewage.flow is `none`; leave it out, or say how much flows",
            ));
        }
        Ok(())
    }

    fn check_floatables(&self) -> Result<()> {
        let twice = self.floatables.iter().enumerate().any(|(i, f)| self.floatables[..i].contains(f));
        if twice || (self.floatables.len() > 1 && self.floatables.contains(&Floatable::None)) {
            return Err(Error::invalid("sewage.floatables", "each at most once, and `none` only alone"));
        }
        Ok(())
    }

    fn check_rapid(&self) -> Result<()> {
        if self.rapid.len() > MAX_RAPID_TESTS {
            return Err(Error::invalid(
                "sewage.rapid",
                format!("{} tests; allowed: up to {MAX_RAPID_TESTS}", self.rapid.len()),
            ));
        }
        for (i, test) in self.rapid.iter().enumerate() {
            let field = |name: &str| format!("sewage.rapid[{i}].{name}");
            let (max, unit) = match test.property {
                RapidProperty::Ph => (14.0, ""),
                RapidProperty::Ec => (1_000_000.0, "μS/cm"),
                _ => (100_000.0, "mg/L"),
            };
            within(&field("value"), Some(test.value), 0.0, max, unit)?;
            text(&field("kit"), Some(&test.kit))?;
            if test.kit.trim().is_empty() {
                return Err(Error::invalid(field("kit"), "empty; allowed: the kit's name"));
            }
            text(&field("lot"), Some(&test.lot))?;
        }
        Ok(())
    }

    /// What was noted, in the form's order: heading and words. Nothing is said of what was left out.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Facts::default();
        facts.number("前期晴天小时数", self.antecedent_dry_h, "h（巡查人填写）");
        facts.text("24h/72h雨量", self.rain_words());
        facts.text("是否有水流", self.flow.map(|f| f.zh().to_owned()));
        let method = self.flow_method.as_deref().map(|m| format!("（{m}）")).unwrap_or_default();
        facts.text("估算流量", self.flow_l_s.map(|q| format!("{q} L/s{method}")));
        facts.text("颜色", graded(self.colour.map(Colour::zh), self.severity_colour));
        facts.text("气味", graded(self.odour.map(Odour::zh), self.severity_odour));
        facts.text("浊度感官", self.turbidity.map(|t| t.zh().to_owned()));
        let floatables: Vec<&str> = self.floatables.iter().map(|f| f.zh()).collect();
        let floatables = (!floatables.is_empty()).then(|| floatables.join("、"));
        facts.text("漂浮物", graded(floatables.as_deref(), self.severity_floatables));
        let rapid: Vec<String> = self.rapid.iter().map(RapidTest::words).collect();
        facts.text("快检", (!rapid.is_empty()).then(|| rapid.join("；")));
        facts.text("天气", self.weather.clone());
        facts.0
    }

    fn rain_words(&self) -> Option<String> {
        let of = |hours: u8, mm: Option<f64>| mm.map(|mm| format!("{hours}h {mm} mm"));
        let parts: Vec<String> =
            [of(24, self.rain_24h_mm), of(72, self.rain_72h_mm)].into_iter().flatten().collect();
        let source = self.rain_source.as_deref().unwrap_or("来源未注明");
        (!parts.is_empty()).then(|| format!("{}（{source}）", parts.join("，")))
    }

    /// What the evidence level is judged by. Of several NH3-N tests the highest counts.
    #[must_use]
    pub fn signs(&self) -> SewageSigns {
        let nh3n = self.rapid.iter().filter(|t| t.property == RapidProperty::Nh3n).map(|t| t.value);
        SewageSigns {
            flow_seen: self.flow.is_some_and(|f| f != Flow::None) || self.flow_l_s.is_some_and(|q| q > 0.0),
            nh3n_mg_l: nh3n.reduce(f64::max),
            severities: [self.severity_odour, self.severity_colour, self.severity_floatables],
        }
    }
}

impl RapidTest {
    fn words(&self) -> String {
        let lot =
            if self.lot.is_empty() { "批号未注明".to_owned() } else { format!("批号{}", self.lot) };
        let value = format!("{} {}", self.value, self.property.unit_words());
        format!("{} {}（{}，{lot}）", self.property.zh(), value.trim_end(), self.kit)
    }
}

impl RapidProperty {
    /// The unit of its value, as people write it.
    #[must_use]
    pub fn unit_words(self) -> &'static str {
        match self {
            Self::Nh3n | Self::Cod | Self::FreeChlorine | Self::Las => "mg/L",
            Self::Ec => "μS/cm",
            Self::Ph => "",
        }
    }
}

/// `灰（程度 2 明显）`; a severity without its word still says the severity.
fn graded(word: Option<&str>, severity: Option<u8>) -> Option<String> {
    let severity = severity.map(|s| match s {
        1 => "程度 1 轻微",
        2 => "程度 2 明显",
        _ => "程度 3 强烈",
    });
    match (word, severity) {
        (Some(word), Some(severity)) => Some(format!("{word}（{severity}）")),
        (word, severity) => word.or(severity).map(str::to_owned),
    }
}

fn severity(field: &str, value: Option<u8>) -> Result<()> {
    match value {
        Some(v) if !(1..=3).contains(&v) => {
            Err(Error::invalid(field, format!("{v}; allowed: 1 (faint), 2 (easily detected), 3 (strong)")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::field_of;
    use super::*;

    fn sewage(json: serde_json::Value) -> SewageForm {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn facts_speak_the_paper_form() {
        let form = sewage(serde_json::json!({
            "flow": "medium", "flow_l_s": 2.5, "flow_method": "水桶计时", "colour": "grey", "severity_colour": 2,
            "odour": "faecal", "severity_odour": 3, "turbidity": "turbid", "floatables": ["foam", "toilet_paper"],
            "rapid": [{"property": "nh3n", "value": 8.5, "kit": "比色管", "lot": "A17"}],
            "antecedent_dry_h": 80, "rain_24h_mm": 0, "weather": "晴"
        }));
        form.check().unwrap();
        let expected = [
            ("前期晴天小时数", "80 h（巡查人填写）"),
            ("24h/72h雨量", "24h 0 mm（来源未注明）"),
            ("是否有水流", "中"),
            ("估算流量", "2.5 L/s（水桶计时）"),
            ("颜色", "灰（程度 2 明显）"),
            ("气味", "粪臭（程度 3 强烈）"),
            ("浊度感官", "浊"),
            ("漂浮物", "泡沫、卫生纸"),
            ("快检", "氨氮 8.5 mg/L（比色管，批号A17）"),
            ("天气", "晴"),
        ];
        assert_eq!(form.facts(), expected.map(|(h, w)| (h, w.to_owned())));
        let signs = form.signs();
        assert!(signs.flow_seen);
        assert_eq!(signs.nh3n_mg_l, Some(8.5));
        assert_eq!(signs.severities, [Some(3), Some(2), None]);
        assert_eq!(serde_json::to_value(&form).unwrap()["odour"], "faecal");
        assert_eq!(SewageForm::default().facts(), []);
        assert_eq!(serde_json::to_string(&SewageForm::default()).unwrap(), "{}");
    }

    #[test]
    fn no_flow_is_not_a_flow() {
        assert!(!sewage(serde_json::json!({"flow": "none", "flow_l_s": 0})).signs().flow_seen);
        assert!(!SewageForm::default().signs().flow_seen);
        assert!(sewage(serde_json::json!({"flow_l_s": 0.1})).signs().flow_seen);
    }

    #[test]
    fn sewage_errors_name_the_field() {
        for (json, field) in [
            (serde_json::json!({"severity_colour": 0}), "sewage.severity_colour"),
            (serde_json::json!({"severity_odour": 4}), "sewage.severity_odour"),
            (serde_json::json!({"flow_l_s": -1}), "sewage.flow_l_s"),
            (serde_json::json!({"flow": "none", "flow_l_s": 1}), "sewage.flow_l_s"),
            (serde_json::json!({"rain_72h_mm": -0.1}), "sewage.rain_72h_mm"),
            (serde_json::json!({"weather": "晴".repeat(201)}), "sewage.weather"),
            (serde_json::json!({"weather": "a\u{0}b"}), "sewage.weather"),
            (serde_json::json!({"floatables": ["none", "foam"]}), "sewage.floatables"),
            (
                serde_json::json!({"rapid": [{"property": "ph", "value": 15, "kit": "a", "lot": ""}]}),
                "sewage.rapid[0].value",
            ),
            (
                serde_json::json!({"rapid": [{"property": "ph", "value": 7, "kit": " ", "lot": ""}]}),
                "sewage.rapid[0].kit",
            ),
        ] {
            assert_eq!(field_of(sewage(json).check()), field);
        }
        let nan = SewageForm { flow_l_s: Some(f64::NAN), ..Default::default() };
        assert_eq!(field_of(nan.check()), "sewage.flow_l_s");
        sewage(serde_json::json!({"weather": "晴".repeat(200)})).check().unwrap();
    }

    #[test]
    fn unknown_words_and_keys_are_refused() {
        let parse = |json| serde_json::from_value::<SewageForm>(json).unwrap_err().to_string();
        assert!(parse(serde_json::json!({"color": "grey"})).contains("color"));
        assert!(parse(serde_json::json!({"colour": "grau"})).contains("grau"));
        assert!(
            parse(serde_json::json!({"rapid": [{"property": "tp", "value": 1, "kit": "a", "lot": "b"}]}))
                .contains("tp")
        );
    }
}
