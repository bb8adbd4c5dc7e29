//! Attacks from every position, against the real service.

mod unit;
