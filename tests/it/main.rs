//! Stories through the front doors, one binary.

mod chaos;
mod influx;
mod influxd;
