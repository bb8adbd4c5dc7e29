//! What comes in: MQTT and files.

pub mod column_map;
mod columns;
mod coordinate;
pub mod decode;
pub mod import_observations;
pub mod import_reports;
mod local_time;
pub mod mapping;
pub mod mqtt;
mod pointer;
pub mod preview;
mod report_row;
mod sheet;
pub mod table;
