//! One binary: every test against the real thing through the front door.

mod chaos;
mod document_docx;
#[cfg(test)]
mod document_pdf;
mod document_tables;
mod document_xlsx;
#[cfg(test)]
mod import;
mod influx;
mod influxd;
#[cfg(test)]
mod picture;
mod sample;
#[cfg(test)]
mod store;
