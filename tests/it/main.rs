//! The integration tests: one binary, one module per story.

mod document_docx;
mod document_tables;
mod document_xlsx;
#[cfg(test)]
mod import;
mod sample;
mod store;
