//! A disk as its recorded changes leave it when the power goes: what was not synced may be there, torn, or gone.
//!
//! Stricter than the file systems of today: a name is durable only by a sync of its folder, also that of a new file
//! whose bytes were synced, and what was not synced survives in any combination, in sectors of 512 bytes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::trace::Call;

const SECTOR: usize = 512;

/// A file or a folder; its name is another thing.
type Node = usize;

enum What {
    Write { at: u64, bytes: Vec<u8> },
    Truncate { length: u64 },
    Name { name: OsString, node: Node },
    Unname { name: OsString },
    Rename { name: OsString, to: Node, to_name: OsString, renamed: Node },
}

struct Change {
    /// The file written to, or the folder whose names change.
    node: Node,
    what: What,
    /// Places in the trace: begun, returned, and where the first sync after it has returned.
    entered: usize,
    left: usize,
    durable: usize,
}

/// Everything that happened within one folder, which was there and empty before.
pub struct Disk {
    root: PathBuf,
    /// What every path stands for at the end of the trace so far.
    nodes: HashMap<PathBuf, Node>,
    /// The length of every file; a folder has none.
    lengths: Vec<Option<u64>>,
    changes: Vec<Change>,
}

impl Disk {
    pub fn new(root: &Path) -> Self {
        let nodes = HashMap::from([(root.to_owned(), 0)]);
        Self { root: root.to_owned(), nodes, lengths: vec![None], changes: Vec::new() }
    }

    /// Takes up what a trace changed. Syncs for which `ignored` holds did nothing.
    pub fn replay(&mut self, calls: &[Call], ignored: impl Fn(&Path) -> bool) {
        for call in calls {
            // Memory shared by processes, made anew after a crash (SQLite file format, 4).
            let shared = [&call.path, &call.to].iter().any(|p| p.to_string_lossy().ends_with("-shm"));
            if call.returned >= 0 && call.touches(&self.root) && !shared {
                self.take(call, &ignored);
            }
        }
    }

    fn take(&mut self, call: &Call, ignored: &impl Fn(&Path) -> bool) {
        match call.name.as_str() {
            "write" => {
                // Every file written without a place is written once, from its start to its end.
                let at = self.nodes.get(&call.path).and_then(|n| self.lengths[*n]).unwrap_or(0);
                self.write(call, at);
            }
            "pwrite64" => self.write(call, call.number(3)),
            "ftruncate" => self.truncate(call, &call.path, call.number(1)),
            "fsync" | "fdatasync" if ignored(&call.path) => {}
            "fsync" | "fdatasync" => self.sync(call),
            "openat" => self.open(call),
            "mkdir" => self.name(call, &call.path, None),
            "unlink" => self.unlink(call),
            "rename" => self.rename(call),
            other => panic!("a change that this disk does not know: {other} {call:?}"),
        }
    }

    fn change(&mut self, call: &Call, node: Node, what: What) {
        let Call { entered, left, .. } = *call;
        self.changes.push(Change { node, what, entered, left, durable: usize::MAX });
    }

    fn write(&mut self, call: &Call, at: u64) {
        // Without a name it is nothing that could be found again.
        let Some(node) = self.nodes.get(&call.path).copied() else { return };
        let bytes = call.data[..call.returned as usize].to_vec();
        self.lengths[node] = self.lengths[node].max(Some(at + bytes.len() as u64));
        self.change(call, node, What::Write { at, bytes });
    }

    fn truncate(&mut self, call: &Call, path: &Path, length: u64) {
        let Some(node) = self.nodes.get(path).copied() else { return };
        self.lengths[node] = Some(length);
        self.change(call, node, What::Truncate { length });
    }

    fn open(&mut self, call: &Call) {
        let (path, flags) = (&call.to, call.word(2));
        match self.nodes.contains_key(path) {
            true if flags.contains("O_TRUNC") => self.truncate(call, path, 0),
            false if flags.contains("O_CREAT") => self.name(call, path, Some(0)),
            _ => {}
        }
    }

    fn name(&mut self, call: &Call, path: &Path, length: Option<u64>) {
        let node = self.lengths.len();
        self.lengths.push(length);
        let (folder, name) = self.place(path);
        self.nodes.insert(path.to_owned(), node);
        self.change(call, folder, What::Name { name, node });
    }

    fn unlink(&mut self, call: &Call) {
        let (folder, name) = self.place(&call.path);
        self.nodes.remove(&call.path);
        self.change(call, folder, What::Unname { name });
    }

    fn rename(&mut self, call: &Call) {
        let ((from, name), (to, to_name)) = (self.place(&call.path), self.place(&call.to));
        let renamed = self.nodes.remove(&call.path).expect("a known file");
        self.nodes.insert(call.to.clone(), renamed);
        self.change(call, from, What::Rename { name, to, to_name, renamed });
    }

    /// The folder of a path and the name in it.
    fn place(&self, path: &Path) -> (Node, OsString) {
        (self.nodes[path.parent().unwrap()], path.file_name().unwrap().to_owned())
    }

    fn sync(&mut self, call: &Call) {
        let Some(node) = self.nodes.get(&call.path).copied() else { return };
        for change in &mut self.changes {
            // A rename is durable with the folder that it leads to.
            let of = if let What::Rename { to, .. } = change.what { to } else { change.node };
            if of == node && change.left < call.entered {
                change.durable = change.durable.min(call.left);
            }
        }
    }

    /// Writes into the empty folder `to` what the disk may hold after a loss of power at that place of the trace.
    pub fn image(&self, crash: usize, rng: &mut Rng, to: &Path) {
        // Of what was not synced: nothing, anything, or all of it.
        let survives = [0.0, 0.5, 0.9, 1.0][rng.usize(..4)];
        let mut files = vec![Vec::new(); self.lengths.len()];
        let mut folders = vec![BTreeMap::new(); self.lengths.len()];
        for change in self.changes.iter().filter(|c| c.entered < crash) {
            let durable = change.durable < crash;
            if durable || rng.f64() < survives {
                let torn = !durable && rng.f64() < 0.5;
                apply(change, &mut files, &mut folders, torn.then_some(&mut *rng));
            }
        }
        self.lay(0, to, &files, &folders);
    }

    /// Lays a folder with all within it.
    fn lay(&self, node: Node, path: &Path, files: &[Vec<u8>], folders: &[Folder]) {
        for (name, node) in &folders[node] {
            let path = path.join(name);
            if self.lengths[*node].is_some() {
                std::fs::write(&path, &files[*node]).unwrap();
            } else {
                std::fs::create_dir(&path).unwrap();
                self.lay(*node, &path, files, folders);
            }
        }
    }
}

type Folder = BTreeMap<OsString, Node>;

fn apply(change: &Change, files: &mut [Vec<u8>], folders: &mut [Folder], torn: Option<&mut Rng>) {
    match &change.what {
        What::Write { at, bytes } => write(&mut files[change.node], *at, bytes, torn),
        What::Truncate { length } => files[change.node].resize(*length as usize, 0),
        What::Name { name, node } => drop(folders[change.node].insert(name.clone(), *node)),
        What::Unname { name } => drop(folders[change.node].remove(name)),
        What::Rename { name, to, to_name, renamed } => {
            // It has its new name also where the one it had before did not survive.
            folders[change.node].remove(name);
            folders[*to].insert(to_name.clone(), *renamed);
        }
    }
}

/// Whole, or only some of its sectors.
fn write(file: &mut Vec<u8>, at: u64, bytes: &[u8], torn: Option<&mut Rng>) {
    let at = at as usize;
    let mut put = |from: usize, to: usize| {
        file.resize(file.len().max(at + to), 0);
        file[at + from..at + to].copy_from_slice(&bytes[from..to]);
    };
    let Some(rng) = torn else { return put(0, bytes.len()) };
    let mut from = 0;
    while from < bytes.len() {
        let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
        if rng.bool() {
            put(from, to);
        }
        from = to;
    }
}
