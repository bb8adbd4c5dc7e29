//! Every 2xx is preceded by a sync of what it acknowledges: read from the system calls of the running service.

use std::path::{Path, PathBuf};

use super::trace::{self, Call};
use super::{shown, size};
use crate::serve::{Client, Serve};
use crate::service::{jpeg, report};

/// The acknowledged submissions of a trace, and for which of them something was not synced in time, and what.
fn unsynced(calls: &[Call], data: &Path) -> (usize, Vec<String>) {
    let mut faults = Vec::new();
    let mut answers = 0;
    for (answer, receipt) in calls.iter().filter_map(|c| Some((c, c.acknowledges()?))) {
        let id = receipt["id"].as_str().unwrap();
        let view = View { calls, data, before: answer.entered };
        answers += 1;
        let found = if id.len() == 64 { view.photo(id) } else { view.committed(&hex(&id.replace('-', ""))) };
        if let Err(what) = found {
            faults.push(format!("{id}: {what}"));
        }
    }
    (answers, faults)
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// A trace up to the first byte of an answer.
struct View<'a> {
    calls: &'a [Call],
    data: &'a Path,
    before: usize,
}

impl View<'_> {
    /// A sync of `path` that began after `after` and ended before the answer.
    fn synced(&self, path: &Path, after: usize) -> Result<&Call, String> {
        self.calls
            .iter()
            .find(|c| c.is_sync() && c.at(path) && c.entered > after && c.left < self.before)
            .ok_or_else(|| format!("{} was not synced", path.strip_prefix(self.data).unwrap().display()))
    }

    /// The transaction that first wrote `key` is in the synced write-ahead log.
    fn committed(&self, key: &[u8]) -> Result<(), String> {
        let wal = self.data.join("jijia.db-wal");
        let mut writes = self.calls.iter().filter(|c| c.is_write() && c.at(&wal));
        let first = writes.find(|c| memchr::memmem::find(&c.data, key).is_some()).ok_or("never written")?;
        // A frame is a header of 24 bytes and a page (SQLite file format, 4.1). The frame with the key has had its
        // header; the last one of a transaction says the size of the database in bytes 4 to 8 of its header.
        let before = self
            .calls
            .iter()
            .rfind(|c| c.entered < first.entered && c.thread == first.thread && c.is_write() && c.at(&wal));
        let mut header = &before.ok_or("a page without its header")?.data;
        let mut last = first;
        while header[4..8] == [0; 4] {
            header = &writes.next().ok_or("no commit")?.data;
            assert_eq!(header.len(), 24, "a header");
            last = writes.next().ok_or("half a frame")?;
        }
        self.synced(&wal, last.left).map(drop)
    }

    fn photo(&self, sha256: &str) -> Result<(), String> {
        let (folder, name) = sha256.split_at(2);
        self.sealed(&self.data.join("photos").join(folder).join(format!("{name}.bin")))?;
        self.sealed(&self.data.join("previews").join(folder).join(format!("{name}.jpg")))?;
        self.committed(&hex(sha256))
    }

    /// Written, synced, renamed, and then its folder synced, and the folder above if the folder is new.
    fn sealed(&self, path: &Path) -> Result<(), String> {
        let rename = self.calls.iter().find(|c| c.name == "rename" && c.to == path).ok_or("no rename")?;
        let temporary = &rename.path;
        let written = self.calls.iter().rfind(|c| c.is_write() && c.at(temporary)).ok_or("no write")?;
        let sync = self.synced(temporary, written.left)?;
        if sync.left > rename.entered {
            return Err(format!("{} was renamed before it was synced", temporary.display()));
        }
        let folder = path.parent().unwrap();
        self.synced(folder, rename.left)?;
        match self.calls.iter().find(|c| c.name == "mkdir" && c.at(folder) && c.returned == 0) {
            Some(made) => self.synced(folder.parent().unwrap(), made.left).map(drop),
            None => Ok(()),
        }
    }
}

fn submit(client: Client, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let answer = client.post_report(report(n).to_string().as_bytes()).unwrap();
        answer.created();
        client.put_photo(&jpeg(n)).unwrap().created();
    }
}

/// Reports and photos one after the other, then from four writers at once, each with so many of both.
fn recorded_submissions(each: u32) -> (tempfile::TempDir, PathBuf, Vec<Call>) {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("trace"));
    let serve: Serve = trace::recorded(&data, &file, None);
    submit(serve.client, 0..2 * each);
    std::thread::scope(|scope| {
        for writer in 2..6 {
            let client = serve.client;
            scope.spawn(move || submit(client, writer * each..(writer + 1) * each));
        }
    });
    serve.terminate();
    serve.rest();
    (dir, data, trace::read(&file))
}

#[test]
fn every_2xx_is_preceded_by_a_sync_of_what_it_acknowledges() {
    let each = size(10, 30);
    let (_dir, data, calls) = recorded_submissions(each as u32);
    let (answers, faults) = unsynced(&calls, &data);
    assert_eq!(faults, [] as [String; 0]);
    assert_eq!(answers, 12 * each);
    shown("sync", answers, "2xx");

    // The same trace without some of its syncs must not pass.
    let without = |what: &str, missing: &dyn Fn(&Path) -> bool| {
        let rest: Vec<_> = calls.iter().filter(|c| !(c.is_sync() && missing(&c.path))).cloned().collect();
        let (answers, faults) = unsynced(&rest, &data);
        println!("sync: without those of {what} {} of {answers} are found", faults.len());
        faults.len()
    };
    assert_eq!(without("the write-ahead log", &|p| p.ends_with("jijia.db-wal")), answers);
    for (what, folder) in [("the originals' bytes", "uploads"), ("the copies' bytes", "tmp")] {
        assert_eq!(without(what, &|p| p.starts_with(data.join(folder))), answers / 2);
    }
    for folder in [data.join("photos"), data.join("previews")] {
        assert_eq!(without("the folders of a hash", &|p| p.parent() == Some(&*folder)), answers / 2);
        assert!(without("the folder above", &|p| p == folder) > 0);
    }
}
