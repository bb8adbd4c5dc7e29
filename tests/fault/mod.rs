//! The durable write path under faults: the real `jijia serve` is killed, cut off, starved, and its disk fails; what
//! it acknowledged must be there afterwards, once, whole, and provable.
//!
//! Every test has a short size and, with `JIJIA_LONG=1` (`tests/run --long`), a long one. Chance comes from a seed
//! that is printed; `JIJIA_SEED=N` repeats its choices, not those of the system's scheduler. Zero failures in n tries
//! bound the rate at 3/n (95 %).

mod audit;
mod cut;
mod disk;
mod full;
mod inject;
mod kill;
mod photo;
mod power;
mod reads;
mod sync;
mod trace;

use fastrand::Rng;

/// The size of a test.
pub fn size(short: usize, long: usize) -> usize {
    if std::env::var("JIJIA_LONG").is_ok_and(|v| v == "1") { long } else { short }
}

/// Chance for a test that says how to have the same again.
pub fn chance(test: &str) -> Rng {
    let given = std::env::var("JIJIA_SEED").ok().map(|text| text.parse().expect("JIJIA_SEED is a number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("{test}: JIJIA_SEED={seed}");
    Rng::with_seed(seed)
}

/// Says what a test without a failure has shown.
fn shown(test: &str, n: usize, of: &str) {
    println!("{test}: 0 failures in n = {n} {of}; at 95 % the rate is below 3/n = {:.4} %", 300.0 / n as f64);
}
