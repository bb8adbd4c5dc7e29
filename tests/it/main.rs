//! One binary: every test against the real thing through the front door.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod document_docx;
#[cfg(test)]
mod document_tables;
#[cfg(test)]
mod document_xlsx;
#[cfg(test)]
mod import;
#[cfg(test)]
mod influx;
#[cfg(test)]
mod influxd;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod store;
