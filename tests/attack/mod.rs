//! Attacks from every position, against the real service.

mod sensor;
mod stranger_guesses;
mod unit;
