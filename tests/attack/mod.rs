//! Attacks from every position, against the real service.

mod stranger_guesses;
mod unit;
