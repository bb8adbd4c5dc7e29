//! Every computation of the service from the shell: one JSON object per line in, one out, in the same order.

pub mod duty;
pub mod place;
pub mod proof;
pub mod rain;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::lake::Place;
use crate::lake::geotag::Locator;

/// What can be computed.
pub const NAMES: [&str; 5] = ["crs", "geotag", "dry", "duty", "proof"];

/// Runs `name` over the lines of `input`. A line that cannot be judged gives `{"error":{"field","message"}}` in its
/// place, and the run ends with 1.
///
/// # Errors
/// `Internal` if the input cannot be read or the output not be written.
pub fn run(name: &str, place: &Place, input: impl BufRead, mut output: impl Write) -> Result<ExitCode> {
    let locator = Locator::new(place);
    let judge = |value: &Value| match name {
        "crs" => place::crs(value),
        "geotag" => place::geotag(value, &locator),
        "duty" => duty::duty(value, place),
        "proof" => proof::proof(value),
        _ => rain::dry(value),
    };
    let mut failed = false;
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str(&line).map_err(|e| Error::invalid("", format!("not JSON: {e}")));
        let answer = parsed.and_then(|value| judge(&value)).unwrap_or_else(|error| {
            failed = true;
            let (field, message) = match error {
                Error::Invalid { field, message } => (field, message),
                other => (String::new(), other.to_string()),
            };
            json!({"error": {"field": field, "message": message}})
        });
        writeln!(output, "{answer}")?;
    }
    output.flush()?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
