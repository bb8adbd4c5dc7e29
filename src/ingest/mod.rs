//! What comes in: MQTT and files.

mod local_time;
pub mod table;
