//! Rendering in a process of its own: the memory of decoded photos goes back when it ends, and a layout that does
//! not end is ended.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PdfPictures, data, draw, internal};
use crate::document::brief::{Block, Brief};
use crate::error::{Error, Result};
use crate::evidence::timeline::Timeline;

/// A layout that takes longer is given up: 100 sightings with 40 photos take a second.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The exit code of a child that found the disk full (the errno of Linux).
const NO_SPACE: u8 = 28;

/// One PDF to render, as it is handed to the child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PdfJob {
    data: Value,
    map_svg: Option<String>,
    chart_svg: Option<String>,
    photos: BTreeMap<String, PathBuf>,
    extra_fonts: Option<PathBuf>,
    output: PathBuf,
}

impl PdfJob {
    /// `photo` says where the viewers' copy of a photo lies; `output` is where the PDF will be.
    #[must_use]
    pub fn new(
        brief: &Brief,
        timeline: &Timeline,
        (map_svg, chart_svg): (Option<String>, Option<String>),
        photo: &dyn Fn(&str) -> Option<PathBuf>,
        extra_fonts: Option<PathBuf>,
        output: PathBuf,
    ) -> Self {
        let blocks = brief.sections.iter().flat_map(|s| &s.blocks);
        let plates = blocks.flat_map(|b| if let Block::Plates(plates) = b { plates.as_slice() } else { &[] });
        let photos = plates.filter_map(|p| Some((p.sha256.clone(), photo(&p.sha256)?))).collect();
        Self { data: data(brief, timeline), map_svg, chart_svg, photos, extra_fonts, output }
    }
}

/// Renders `job` by `program render-pdf JOBFILE` and returns when the PDF is durable at its output. Blocks; at most
/// a minute, then the child is killed. `program` is this binary: [`std::env::current_exe`] except in tests.
///
/// # Errors
/// `Unavailable` when the time is up; `NoSpace` when the disk is full; `Internal` when the child cannot be started or
/// fails (its log says why).
pub fn render_in_child(program: &Path, job: &PdfJob) -> Result<()> {
    let file = job.output.with_added_extension("job");
    let done = write_job(&file, job).and_then(|()| run(program, &file, TIMEOUT));
    // The job holds notes of reports: it goes whatever came of it.
    let removed = std::fs::remove_file(&file);
    done.and(removed.map_err(Error::from))
}

fn write_job(path: &Path, job: &PdfJob) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = serde_json::to_vec(job).map_err(internal)?;
    Ok(options.open(path)?.write_all(&text)?)
}

fn run(program: &Path, job: &Path, timeout: Duration) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("render-pdf").arg(job).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|e| internal(format!("{}: {e}", program.display())))?;
    match ended(&mut child, timeout)? {
        Some(status) if status.success() => Ok(()),
        Some(status) if status.code() == Some(NO_SPACE.into()) => {
            Err(Error::NoSpace("the disk is full".into()))
        }
        Some(status) => Err(internal(format!("the rendering process ended with {status}"))),
        None => {
            child.kill()?;
            child.wait()?;
            Err(Error::Unavailable(format!("the PDF was not ready in {} s", timeout.as_secs())))
        }
    }
}

fn ended(child: &mut Child, timeout: Duration) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || start.elapsed() >= timeout {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The hidden command `render-pdf JOBFILE`: reads the job, writes the PDF beside its place and renames it. A full disk is
/// said by the exit code.
///
/// # Errors
/// Those of [`super::render`], and of the disk.
pub fn child_main(job: &Path) -> Result<ExitCode> {
    match render_job(job) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Error::NoSpace(_)) => Ok(ExitCode::from(NO_SPACE)),
        Err(e) => Err(e),
    }
}

fn render_job(job: &Path) -> Result<()> {
    let job: PdfJob = serde_json::from_slice(&std::fs::read(job)?).map_err(internal)?;
    let photo = |sha256: &str| std::fs::read(job.photos.get(sha256)?).ok();
    let pictures =
        PdfPictures { map_svg: job.map_svg.as_deref(), chart_svg: job.chart_svg.as_deref(), photo: &photo };
    let pdf = draw(job.data, &pictures, job.extra_fonts.as_deref())?;
    let part = job.output.with_added_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(&pdf)?;
    file.sync_all()?;
    Ok(std::fs::rename(&part, &job.output)?)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_layout_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("slow");
        std::fs::write(&program, "#!/bin/sh\necho $$ > \"$2\"\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let noted = folder.path().join("pid");
        let ended = run(&program, &noted, Duration::from_millis(500));
        assert!(matches!(ended, Err(Error::Unavailable(_))), "{ended:?}");
        let pid = std::fs::read_to_string(&noted).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{pid} still runs");
    }
}
