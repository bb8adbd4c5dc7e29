//! Copies of the observations in other engines, each following the log by its own durable cursor. The store stays
//! the truth: a mirror may be thrown away and is filled again from the first row.

pub mod influx;
mod line;
mod status;
mod target;
