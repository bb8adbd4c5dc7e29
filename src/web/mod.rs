//! The route table, the API and the pages.
