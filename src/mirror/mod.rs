//! InfluxDB follows the log.
