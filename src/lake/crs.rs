//! Conversions between reference systems.
