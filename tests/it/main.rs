//! One binary: every test against the real thing through the front door.

mod chaos;
mod influx;
mod influxd;
mod store;
