//! Duty windows.
