//! The service under attack, one file for each position: what a stranger, a phone, a patrol person, a unit, an administrator,
//! a sensor and an operator with a shell may not get or break. Short and long sizes as in `fault`.

mod admin;
mod patrol;
mod phone;
mod random;
mod rewrite;
mod rights;
mod sensor;
mod shell;
mod stranger;
mod stranger_guesses;
mod unit;
