//! The benches, each beside its yardstick in the same run: `cargo bench --bench bench -- [NAME…]`.

#![expect(clippy::print_stdout, reason = "the figures are the product of a bench")]

mod geotag;

use std::error::Error;

/// What one bench is: prints its figures, or says why it could not run.
type Bench = fn() -> Result<(), Box<dyn Error>>;

const BENCHES: [(&str, Bench); 1] = [("geotag", geotag::run)];

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo itself adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("# {name}");
            run()?;
        }
    }
    Ok(())
}
