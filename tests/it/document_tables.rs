//! CSV and GeoJSON.
