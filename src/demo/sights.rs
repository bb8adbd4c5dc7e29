//! What a person at the lake sees and writes into the form.

use fastrand::Rng;
use jiff::Timestamp;

use super::scene::Subject;
use super::world::{PATCHES, World, between, tenths};
use crate::lake::Wgs84;
use crate::patrol::form::{
    AreaMethod, Colour, Floatable, Flow, Growth, HyacinthForm, Odour, RapidProperty, RapidTest, SewageForm,
    Turbidity,
};

/// Degrees of one metre at 29.4° N, along the meridian and along the parallel.
const DEGREES_PER_M: (f64, f64) = (1.0 / 97_000.0, 1.0 / 110_900.0);

/// What was seen.
pub struct Seen {
    /// The form 巡查记录(污水).
    pub sewage: Option<SewageForm>,
    /// The form 巡查记录(水葫芦).
    pub hyacinth: Option<HyacinthForm>,
    /// In the person's words.
    pub note: Option<String>,
    /// For the picture.
    pub subject: Subject,
    /// It rains.
    pub rain: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self { sewage: None, hyacinth: None, note: None, subject: Subject::Shore, rain: false }
    }
}

/// An outfall: sewage, rain water, both or nothing.
pub fn outflow(world: &World, outfall: &str, at: Timestamp, rng: &mut Rng) -> Seen {
    let sewage = world.sewage_l_s(outfall, at);
    let storm = 0.9 * world.rain_before_mm(at, 3);
    let flow = tenths((sewage + storm) * between(rng, 0.8, 1.2));
    let rain = world.rain_mm(at) > 0.0;
    // In a storm the sewage is thinned out of sight.
    let foul = sewage > 0.05 && sewage * 3.0 > storm;
    let mut form = SewageForm {
        flow: Some(match flow {
            f if f <= 0.0 => Flow::None,
            f if f < 0.3 => Flow::Trickle,
            f if f < 1.2 => Flow::Small,
            f if f < 3.5 => Flow::Medium,
            _ => Flow::Large,
        }),
        flow_l_s: Some(flow),
        flow_method: (flow > 0.0).then(|| "容器计时".into()),
        weather: Some(if rain { "雨" } else { *rng.choice(&["晴", "多云", "阴"]).unwrap_or(&"晴") }.into()),
        ..SewageForm::default()
    };
    if flow > 0.0 {
        look(&mut form, foul, sewage, rng);
    }
    let colour = match (foul, form.colour) {
        (true, Some(Colour::Black)) => "#3a3d38",
        (true, _) => "#8c8f84",
        _ => "#a9b8ae",
    };
    let notes: &[&str] = match (foul, flow > 0.0) {
        (true, _) => &[
            "管口有明显异味，水色发灰。",
            "沿管壁有白色絮状物。",
            "附近居民反映清晨水量大。",
            "旱天持续出水。",
        ],
        (false, true) => &["雨后出水，水色略浑。", "路面雨水汇入。"],
        _ => &["管口干燥，无水流。"],
    };
    let note = (rng.f64() < 0.5).then(|| (*rng.choice(notes).unwrap_or(&"")).to_owned());
    Seen {
        sewage: Some(form),
        note,
        subject: Subject::Outfall { flow_l_s: flow, colour },
        rain,
        ..Seen::default()
    }
}

/// Colour, odour, floatables and the kit.
fn look(form: &mut SewageForm, foul: bool, sewage_l_s: f64, rng: &mut Rng) {
    if !foul {
        form.colour = Some(Colour::Colourless);
        form.odour = Some(Odour::None);
        form.turbidity = Some(Turbidity::Slight);
        form.floatables = vec![Floatable::None];
        return;
    }
    form.colour = rng.choice([Colour::Grey, Colour::Grey, Colour::Milky, Colour::Black]);
    form.odour = rng.choice([Odour::Faecal, Odour::RottenEgg, Odour::Detergent]);
    form.turbidity = Some(Turbidity::Turbid);
    form.floatables = vec![if rng.bool() { Floatable::ToiletPaper } else { Floatable::Foam }];
    form.severity_colour = Some(rng.u8(1..4));
    form.severity_odour = Some(rng.u8(1..4));
    form.severity_floatables = Some(rng.u8(1..3));
    if rng.f64() < 0.6 {
        let value = tenths((5.5 * sewage_l_s + 3.0) * between(rng, 0.7, 1.3));
        let (kit, lot) = ("氨氮比色管".to_owned(), "演示-01".to_owned());
        form.rapid = vec![RapidTest { property: RapidProperty::Nh3n, value, kit, lot }];
    }
}

/// Hyacinth in a bay, with the patch drawn around `middle`.
pub fn hyacinth(world: &World, bay: usize, middle: Wgs84, at: Timestamp, rng: &mut Rng) -> Seen {
    let area = (world.hyacinth_m2(bay, at) * between(rng, 0.85, 1.15) / 10.0).round() * 10.0;
    let share = (area / 2600.0).min(1.0);
    let salvaged = world.salvaged_lately(bay, at);
    let form = HyacinthForm {
        bay: PATCHES.get(bay).map(|b| (*b).to_owned()),
        polygon: Some(ring(middle, area, rng)),
        patches: Some(rng.u32(1..6)),
        area_m2: Some(area),
        area_method: rng.choice([AreaMethod::ByEye, AreaMethod::ByEye, AreaMethod::Rangefinder]),
        cover_pct: Some((20.0 + 75.0 * share).round()),
        height_cm: Some((12.0 + 30.0 * share).round()),
        growth: Some(match share {
            s if s < 0.15 => Growth::Scattered,
            s if s < 0.7 => Growth::Patches,
            _ => Growth::FullCover,
        }),
        flowering: Some(share > 0.6),
        wind: Some("东北风 2 级".into()),
        drift_deg: Some(225.0),
    };
    let note = if salvaged { Some("打捞后复查，残株沿岸分布。".to_owned()) } else { None };
    Seen { hyacinth: Some(form), note, subject: Subject::Hyacinth { cover: share }, ..Seen::default() }
}

/// A closed ring of about `area_m2` around `middle`.
fn ring(middle: Wgs84, area_m2: f64, rng: &mut Rng) -> Vec<[f64; 2]> {
    let radius = (area_m2 / std::f64::consts::PI).sqrt();
    let mut points: Vec<[f64; 2]> = (0..10)
        .map(|i| {
            let angle = f64::from(i) / 10.0 * std::f64::consts::TAU;
            let r = radius * between(rng, 0.8, 1.2);
            let digits = |degrees: f64| (degrees * 1e7).round() / 1e7;
            [
                digits(middle.lng + r * angle.cos() * DEGREES_PER_M.0),
                digits(middle.lat + r * angle.sin() * DEGREES_PER_M.1),
            ]
        })
        .collect();
    points.extend(points.first().copied());
    points
}

/// Something else by the shore.
pub fn rubbish(rng: &mut Rng) -> Seen {
    let words = ["岸边有生活垃圾约 2 袋。", "水面有漂浮塑料。", "发现死鱼数条，已拍照。"];
    Seen { note: rng.choice(words).map(str::to_owned), ..Seen::default() }
}
