//! One binary: every test against the real thing through the front door.
#![cfg(test)]

mod api_again;
mod api_corrections;
mod api_description;
mod api_photos;
mod api_refusals;
mod api_timeline;
mod arrows;
mod chaos;
mod cli;
mod cli_serve;
mod document_docx;
mod document_pdf;
mod document_tables;
mod document_xlsx;
mod import;
mod influx;
mod influxd;
mod log_client;
mod log_guard;
mod log_process;
mod log_tampered;
mod log_witness;
mod mosquitto;
mod mqtt;
mod mqtt_faults;
mod picture;
mod sample;
mod service;
mod store;
