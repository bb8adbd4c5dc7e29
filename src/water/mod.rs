//! Water: observations, properties and their units, rain and dry weather. Classes, indices, QC and alerts come here.

pub mod intake;
pub mod observation;
pub mod property;
pub mod rain;
pub mod submission;
pub mod unit;
