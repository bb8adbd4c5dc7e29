//! Resident memory of the service: idle after its start, and the most under the loads of the other benches.

use std::time::Duration;

use crate::figures::Figure;
use crate::service::Service;
use crate::{Fault, Outcome, Session};

/// Prints both; the loads are those that ran before.
pub fn run(session: &mut Session) -> Result<Outcome, Fault> {
    let folder = crate::folder()?;
    let service = Service::start(folder.path(), &[])?;
    // Until what the start began in the background is over.
    std::thread::sleep(Duration::from_secs(2));
    let idle_mb = mb(service.resident_kb()?);
    service.stop()?;
    let mut figures = vec![Figure {
        what: "Resident memory, idle after start".into(),
        ours: format!("{idle_mb:.0} MB"),
        beside: "–".into(),
        ratio: None,
        target: "≤ 60 MB",
        met: Some(idle_mb <= 60.0),
    }];
    if let Some(most_kb) = session.peaks.iter().map(|(_, kb)| *kb).max() {
        let loads: Vec<String> =
            session.peaks.iter().map(|(name, kb)| format!("{name} {:.0}", mb(*kb))).collect();
        figures.push(Figure {
            what: format!("Resident memory, most under load (MB: {})", loads.join(", ")),
            ours: format!("{:.0} MB", mb(most_kb)),
            beside: "–".into(),
            ratio: None,
            target: "≤ 250 MB",
            met: Some(mb(most_kb) <= 250.0),
        });
    }
    Ok(Outcome::Ran(figures))
}

/// Megabytes of 10⁶ bytes.
pub fn mb(kb: u64) -> f64 {
    kb as f64 * 1024.0 / 1e6
}
