//! One binary: every test against the real thing through the front door.
#![cfg(test)]

mod api_again;
mod api_corrections;
mod api_description;
mod api_field;
mod api_photos;
mod api_refusals;
mod api_timeline;
mod append_only;
mod arrows;
mod audit;
mod audit_edits;
mod backup;
mod bundle_flips;
mod bundle_made;
mod bundle_sample;
mod bundle_verify;
mod chaos;
mod cli;
mod cli_serve;
mod dead_letters;
mod document_docx;
mod document_pdf;
mod document_tables;
mod document_xlsx;
#[path = "../fault/mod.rs"]
mod fault;
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
mod redact;
mod sample;
mod serve;
mod service;
mod store;
mod unknown;
