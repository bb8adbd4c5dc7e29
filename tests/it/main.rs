//! One binary: every test against the real thing through the front door.
#![cfg(test)]

mod chaos;
mod document_docx;
mod document_pdf;
mod document_tables;
mod document_xlsx;
mod import;
mod influx;
mod influxd;
mod mosquitto;
mod mqtt;
mod mqtt_faults;
mod picture;
mod sample;
mod store;
