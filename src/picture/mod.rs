//! Maps and charts as SVG text.
