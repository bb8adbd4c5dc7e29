//! 巡查记录(水葫芦).

use geo::{Area, LineString, Polygon, Validation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AreaMethod, Facts, Growth, text, within};
use crate::error::{Error, Result};

/// The longest ring: checking it for crossings is quadratic.
const MAX_RING_POINTS: usize = 1_000;
/// 1 亩 in square metres.
pub const MU_M2: f64 = 666.67;

/// 巡查记录(水葫芦).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HyacinthForm {
    /// 湖湾/网格 in the person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bay: Option<String>,
    /// The drawn patch: a closed ring of `[lng, lat]` in the CRS of the report's position, which must be there; each
    /// point within the place's neighbourhood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polygon: Option<Vec<[f64; 2]>>,
    /// 斑块数.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patches: Option<u32>,
    /// 估算面积, m².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_m2: Option<f64>,
    /// 面积方法.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_method: Option<AreaMethod>,
    /// 盖度 of the drawn patch, %.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub cover_pct: Option<f64>,
    /// 株高, cm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_cm: Option<f64>,
    /// 长势.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
    /// 是否开花.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flowering: Option<bool>,
    /// 风向风速 in the person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wind: Option<String>,
    /// 漂移方向: where it drifts to, degrees clockwise from north.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 360)]
    pub drift_deg: Option<f64>,
}

impl HyacinthForm {
    /// Refuses what no person can have seen.
    ///
    /// # Errors
    /// `Invalid` with the field (`hyacinth.cover_pct`) and what is allowed.
    pub fn check(&self) -> Result<()> {
        text("hyacinth.bay", self.bay.as_deref())?;
        self.polygon.as_deref().map_or(Ok(()), ring)?;
        within("hyacinth.area_m2", self.area_m2, 0.0, 1e9, "m²")?;
        within("hyacinth.cover_pct", self.cover_pct, 0.0, 100.0, "%")?;
        within("hyacinth.height_cm", self.height_cm, 0.0, 500.0, "cm")?;
        text("hyacinth.wind", self.wind.as_deref())?;
        within("hyacinth.drift_deg", self.drift_deg, 0.0, 360.0, "°")
    }

    /// What was noted, in the form's order: heading and words. Nothing is said of what was left out.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Facts::default();
        facts.text("湖湾/网格", self.bay.clone());
        // The ring says its first point again.
        facts.text(
            "多边形",
            self.polygon.as_ref().map(|ring| format!("已绘，{} 个角点", ring.len().max(1) - 1)),
        );
        facts.text("斑块数", self.patches.map(|n| n.to_string()));
        facts.text("估算面积", self.area_m2.map(|a| format!("{a} m²（{:.2} 亩）", a / MU_M2)));
        facts.text("面积方法", self.area_method.map(|m| m.zh().to_owned()));
        facts.number("盖度", self.cover_pct, "%");
        facts.number("株高", self.height_cm, "cm");
        facts.text("长势", self.growth.map(|g| g.zh().to_owned()));
        facts.text("是否开花", self.flowering.map(|f| if f { "是" } else { "否" }.to_owned()));
        facts.text("风向风速", self.wind.clone());
        facts.number("漂移方向", self.drift_deg, "°");
        facts.0
    }
}

fn ring(points: &[[f64; 2]]) -> Result<()> {
    let wrong = |message: String| Err(Error::invalid("hyacinth.polygon", message));
    if !(4..=MAX_RING_POINTS).contains(&points.len()) {
        return wrong(format!("{} points; allowed: a closed ring of 4 to {MAX_RING_POINTS}", points.len()));
    }
    for (i, [lng, lat]) in points.iter().enumerate() {
        if !(-180.0..=180.0).contains(lng) || !(-90.0..=90.0).contains(lat) {
            return wrong(format!(
                "point {i} is [{lng}, {lat}]; allowed: [longitude -180 to 180, latitude -90 to 90]"
            ));
        }
    }
    if points.first() != points.last() {
        return wrong("not closed; the last point must repeat the first".into());
    }
    let polygon = Polygon::new(LineString::from(points.to_vec()), vec![]);
    if !polygon.is_valid() || polygon.unsigned_area() <= 0.0 {
        return wrong("crosses or touches itself, or has no area; allowed: a simple ring".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::field_of;
    use super::*;

    fn hyacinth(json: serde_json::Value) -> HyacinthForm {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn hyacinth_facts_and_errors() {
        let form = hyacinth(serde_json::json!({
            "bay": "北湾", "polygon": [[113.1, 29.4], [113.101, 29.4], [113.101, 29.401], [113.1, 29.4]],
            "patches": 3, "area_m2": 1000, "area_method": "drone", "cover_pct": 85, "height_cm": 30,
            "growth": "patches", "flowering": false, "wind": "东北风2级", "drift_deg": 225
        }));
        form.check().unwrap();
        let facts = form.facts();
        assert_eq!(facts[1], ("多边形", "已绘，3 个角点".to_owned()));
        assert_eq!(facts[3], ("估算面积", "1000 m²（1.50 亩）".to_owned()));
        assert_eq!(facts.len(), 11);
        for (json, field) in [
            (serde_json::json!({"area_m2": -1}), "hyacinth.area_m2"),
            (serde_json::json!({"cover_pct": 140}), "hyacinth.cover_pct"),
            (serde_json::json!({"drift_deg": 361}), "hyacinth.drift_deg"),
            (serde_json::json!({"height_cm": -3}), "hyacinth.height_cm"),
            (serde_json::json!({"bay": "湾".repeat(201)}), "hyacinth.bay"),
        ] {
            assert_eq!(field_of(hyacinth(json).check()), field);
        }
    }

    #[test]
    fn rings_are_simple_and_closed() {
        let check =
            |ring: &[[f64; 2]]| HyacinthForm { polygon: Some(ring.to_vec()), ..Default::default() }.check();
        let (a, b, c, d) = ([113.10, 29.40], [113.11, 29.40], [113.11, 29.41], [113.10, 29.41]);
        check(&[a, b, c, d, a]).unwrap();
        for (bad, says) in [
            (&[a, b, c][..], "3 points"),
            (&[a, b, c, d], "not closed"),
            (&[a, c, b, d, a], "crosses"),
            (&[a, b, a, a], "crosses"),
            (&[a, [f64::NAN, 29.0], c, a], "point 1"),
            (&[[29.4, 113.1], b, c, [29.4, 113.1]], "point 0"),
            (&vec![a; 1_001], "1001 points"),
        ] {
            let message = check(bad).unwrap_err().to_string();
            assert!(message.starts_with("hyacinth.polygon: ") && message.contains(says), "{message}");
        }
    }
}
