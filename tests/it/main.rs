//! One binary: every test against the real thing through the front door.

mod chaos;
#[cfg(test)]
mod document_docx;
#[cfg(test)]
mod document_tables;
#[cfg(test)]
mod document_xlsx;
#[cfg(test)]
mod import;
mod influx;
mod influxd;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod store;
