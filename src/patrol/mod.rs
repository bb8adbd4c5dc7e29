//! Patrols: what a person walks and reports.

pub mod correction;
pub mod duty;
pub mod form;
pub mod outbox;
pub mod photo;
pub mod report;
pub mod roster;
pub mod voice;
pub mod walk;

use serde::{Deserialize, Serialize};

/// What a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// 污水直排.
    SewageOutflow,
    /// 水葫芦.
    WaterHyacinth,
    /// 其他.
    Other,
    /// 走过无异常.
    NothingFound,
}

impl ReportKind {
    /// As people call it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::SewageOutflow => "污水直排",
            Self::WaterHyacinth => "水葫芦",
            Self::Other => "其他",
            Self::NothingFound => "走过无异常",
        }
    }

    /// The word in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SewageOutflow => "sewage_outflow",
            Self::WaterHyacinth => "water_hyacinth",
            Self::Other => "other",
            Self::NothingFound => "nothing_found",
        }
    }
}

impl std::str::FromStr for ReportKind {
    type Err = crate::error::Error;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        [Self::SewageOutflow, Self::WaterHyacinth, Self::Other, Self::NothingFound]
            .into_iter()
            .find(|k| k.as_str() == s)
            .ok_or_else(|| {
                crate::error::Error::invalid(
                    "kind",
                    format!(
                        "`{s}` is not known; allowed: sewage_outflow, water_hyacinth, other, nothing_found"
                    ),
                )
            })
    }
}
