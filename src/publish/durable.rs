//! Small files that are either the old one or the new one, whenever the power goes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Puts `bytes` in the place of the file at `path`. Durable when this returns; one writer at a time. `private`: only the
/// owner can read it, from its first byte on.
///
/// # Errors
/// Those of the disk, with the path.
pub fn write(path: &Path, bytes: &[u8], private: bool) -> Result<()> {
    let failed = |e: std::io::Error| match Error::from(e) {
        Error::NoSpace(m) => Error::NoSpace(format!("{}: {m}", path.display())),
        other => Error::Unavailable(format!("{} cannot be written: {other}", path.display())),
    };
    let new = beside(path, ".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut file = options.open(&new).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    // Crash before this line: the old file stands, a half one lies beside it and is written over next time.
    std::fs::rename(&new, path).map_err(failed)?;
    sync_folder_of(path).map_err(failed)
}

/// Makes a rename in the file's folder durable.
pub(super) fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

/// `path` with `ending` at its end.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The file's text; `None` where there is none.
///
/// # Errors
/// `Unavailable` with the path.
pub fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::Unavailable(format!("{} cannot be read: {e}", path.display()))),
    }
}

/// The text of a file with a secret; `None` where there is none.
///
/// # Errors
/// `Unavailable` for a file that others can read.
pub fn read_private(path: &Path) -> Result<Option<String>> {
    let text = read(path)?;
    #[cfg(unix)]
    if text.is_some() {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Unavailable(format!(
                "{0} has mode {mode:o}: others can read the key and sign with it. Run `chmod 600 {0}`, and replace the \
                 key if somebody may have read it",
                path.display()
            )));
        }
    }
    Ok(text)
}
