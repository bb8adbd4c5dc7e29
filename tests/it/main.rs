//! One binary: every test against the real thing through the front door.

#[cfg(test)]
mod chaos;
mod document_docx;
mod document_tables;
mod document_xlsx;
#[cfg(test)]
mod import;
#[cfg(test)]
mod influx;
#[cfg(test)]
mod influxd;
mod sample;
#[cfg(test)]
mod store;
