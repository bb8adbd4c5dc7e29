//! Evidence levels E0 to E2 (domain rules, section 4.3: a proposal, not a standard). E3 and E4 need casework.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::water::rain::Weather;

/// What a sighting is allowed to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum EvidenceLevel {
    /// A photo, rain unknown or wet.
    E0,
    /// Flow seen in weather proven dry.
    E1,
    /// E1 with a sign of sewage.
    E2,
}

impl EvidenceLevel {
    /// The only wording a document may use for it. 混接 is never said as a fact below E4.
    #[must_use]
    pub fn wording(self) -> &'static str {
        match self {
            Self::E0 => "发现排水",
            Self::E1 => "旱天有水流出",
            Self::E2 => "疑似污水混入",
        }
    }
}

/// The signs of sewage that lift E1 to E2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SewageSigns {
    /// Water was seen to flow.
    pub flow_seen: bool,
    /// Rapid test of NH3-N, mg/L.
    pub nh3n_mg_l: Option<f64>,
    /// Severity 1 to 3 of odour, colour and floatables, where noted.
    pub severities: [Option<u8>; 3],
}

impl SewageSigns {
    fn sewage(&self, nh3n_limit_mg_l: f64) -> bool {
        let strong = self.severities.iter().flatten().filter(|&&s| s >= 2).count();
        self.nh3n_mg_l.is_some_and(|v| v >= nh3n_limit_mg_l) || strong >= 2
    }
}

/// The level of a sewage sighting; `None` while no photo has come.
/// `nh3n_limit_mg_l` is the configured limit of the rapid test (default 2.0, an engineering choice).
#[must_use]
pub fn level_of(
    photos: usize,
    weather: Weather,
    signs: &SewageSigns,
    nh3n_limit_mg_l: f64,
) -> Option<EvidenceLevel> {
    match (photos, weather, signs.flow_seen) {
        (0, _, _) => None,
        (_, Weather::Dry, true) if signs.sewage(nh3n_limit_mg_l) => Some(EvidenceLevel::E2),
        (_, Weather::Dry, true) => Some(EvidenceLevel::E1),
        _ => Some(EvidenceLevel::E0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_rain_is_never_dry() {
        let strong =
            SewageSigns { flow_seen: true, nh3n_mg_l: Some(9.0), severities: [Some(3), Some(3), Some(3)] };
        assert_eq!(level_of(1, Weather::Unknown, &strong, 2.0), Some(EvidenceLevel::E0));
        assert_eq!(level_of(1, Weather::Wet, &strong, 2.0), Some(EvidenceLevel::E0));
        assert_eq!(level_of(1, Weather::Dry, &strong, 2.0), Some(EvidenceLevel::E2));
        assert_eq!(level_of(0, Weather::Dry, &strong, 2.0), None);
    }

    #[test]
    fn two_strong_senses_or_the_rapid_test_make_e2() {
        let of = |nh3n_mg_l, severities| {
            level_of(1, Weather::Dry, &SewageSigns { flow_seen: true, nh3n_mg_l, severities }, 2.0)
        };
        assert_eq!(of(None, [Some(2), Some(2), None]), Some(EvidenceLevel::E2));
        assert_eq!(of(None, [Some(3), Some(1), None]), Some(EvidenceLevel::E1));
        assert_eq!(of(Some(2.0), [None; 3]), Some(EvidenceLevel::E2));
        assert_eq!(of(Some(1.99), [None; 3]), Some(EvidenceLevel::E1));
        let dry_bed = SewageSigns { flow_seen: false, nh3n_mg_l: Some(5.0), severities: [None; 3] };
        assert_eq!(level_of(1, Weather::Dry, &dry_bed, 2.0), Some(EvidenceLevel::E0));
    }
}
