//! The data directory is its owner's alone: folders 0700, files 0600. An umask may say otherwise, and so may an older program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Result;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Takes from others what they may do with `dir` and all that is in it; gives how many files and folders they could open. What
/// lies in a closed folder is closed: then nothing is looked through.
///
/// # Errors
/// Those of the disk.
pub(super) fn close_to_others(dir: &Path) -> Result<u64> {
    if !close(dir, FOLDER_MODE)? {
        return Ok(0);
    }
    let mut closed = 1;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(&folder)? {
            let file = file?;
            // A link is not followed: what it leads to is not ours.
            let kind = file.file_type()?;
            if kind.is_dir() {
                closed += u64::from(close(&file.path(), FOLDER_MODE)?);
                folders.push(file.path());
            } else if kind.is_file() {
                closed += u64::from(close(&file.path(), FILE_MODE)?);
            }
        }
    }
    Ok(closed)
}

fn close(path: &Path, most: u32) -> Result<bool> {
    let mode = match fs::metadata(path) {
        Ok(about) => about.permissions().mode() & 0o777,
        // A part of a transaction that has just ended.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e.into()),
    };
    if mode & !most == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & most))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_open_is_closed_once() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("photos");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.bin"), b"x").unwrap();
        for (path, mode) in
            [(dir.path().to_owned(), 0o755), (inner.clone(), 0o750), (inner.join("a.bin"), 0o644)]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(close_to_others(dir.path()).unwrap(), 3);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(dir.path()), mode(&inner), mode(&inner.join("a.bin"))), (0o700, 0o700, 0o600));
        assert_eq!(close_to_others(dir.path()).unwrap(), 0);
    }
}
