//! What a running service asks of the system, as strace tells it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::serve::{Serve, over, serve};

/// All that changes files, syncs them, or speaks to a client.
const CHANGES: &str = "trace=openat,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,sync_file_range,\
    rename,renameat,renameat2,link,linkat,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,truncate,ftruncate,\
    fallocate,copy_file_range,sendfile";

/// One system call, whole: strace tells of its beginning and its end in two lines when another came between.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    args: Vec<String>,
    /// The file behind a descriptor, or the path named, in the first and in the second argument.
    pub path: PathBuf,
    pub to: PathBuf,
    /// All bytes that it was given.
    pub data: Vec<u8>,
    /// What it returned; negative for an error, and for a call that never returned.
    pub returned: i64,
    /// Places in the order of the trace.
    pub entered: usize,
    pub left: usize,
    /// strace made it fail.
    pub injected: bool,
}

impl Call {
    fn given(&mut self, args: &str) {
        self.args = arguments(args);
        (self.path, self.to) = (path(self.word(0)), path(self.word(1)));
        // Between quotation marks.
        let strings = self.args.iter().flat_map(|arg| arg.split('"').skip(1).step_by(2));
        self.data = strings.flat_map(bytes).collect();
        // A call that has not returned did not succeed.
        self.returned = -1;
    }

    pub fn number(&self, n: usize) -> u64 {
        self.args[n].parse().unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The argument as strace wrote it.
    pub fn word(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    /// The same so many places later.
    pub fn later(mut self, by: usize) -> Self {
        (self.entered, self.left) = (self.entered + by, self.left.saturating_add(by));
        self
    }

    /// A file within `folder` is among its arguments.
    pub fn touches(&self, folder: &Path) -> bool {
        self.args.iter().any(|arg| path(arg).starts_with(folder))
    }

    /// Is about this path. By its bytes: comparing paths part by part takes most of a checker's time.
    pub fn at(&self, path: &Path) -> bool {
        self.path.as_os_str() == path.as_os_str()
    }

    pub fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.returned == 0
    }

    pub fn is_write(&self) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "pwrite64" | "pwritev")
    }

    /// The body of a 2xx that this call sends to a client.
    pub fn acknowledges(&self) -> Option<serde_json::Value> {
        let data = self.data.starts_with(b"HTTP/1.1 20").then_some(&self.data)?;
        let head = data.windows(4).position(|w| w == b"\r\n\r\n")?;
        serde_json::from_slice(&data[head + 4..]).ok()
    }
}

fn path(arg: &str) -> PathBuf {
    let inner = match arg.split_once('<') {
        // What follows the `>` says that the file has no name any more.
        Some((_, rest)) if !arg.starts_with('"') => rest.split('>').next().unwrap_or_default(),
        _ => arg.trim_matches('"'),
    };
    PathBuf::from(OsStr::from_bytes(&bytes(inner)))
}

/// `\x41\x42` as strace writes strings (-xx); other text stands for itself.
fn bytes(text: &str) -> Vec<u8> {
    let text = text.split_once("\"...").map_or(text, |(text, _)| text);
    match text.strip_prefix("\\x") {
        Some(hexes) => hexes.split("\\x").map(|h| u8::from_str_radix(h, 16).unwrap()).collect(),
        None => text.as_bytes().to_vec(),
    }
}

/// Splits at the commas that stand in no bracket. Within strings everything is `\x..`.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut all) = (0, vec![String::new()]);
    for c in text.chars() {
        depth += i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'));
        match (c, all.last_mut()) {
            (',', _) if depth == 0 => all.push(String::new()),
            (_, Some(last)) => last.push(c),
            _ => {}
        }
    }
    all.iter().map(|arg| arg.trim().to_owned()).collect()
}

/// Reads strace's output, in the order of entering.
pub fn read(file: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut calls: Vec<Call> = Vec::new();
    // Calls that have begun: place in `calls`, text so far.
    let mut open: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let (thread, rest) = (thread.parse().unwrap(), rest.trim_start());
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some((_, rest)) = rest.strip_prefix("<... ").and_then(|r| r.split_once(" resumed>")) {
            let i = open.iter().position(|(i, _)| calls[*i].thread == thread).expect("a beginning");
            let (i, begun) = open.swap_remove(i);
            finish(&mut calls[i], &(begun + rest), at);
            continue;
        }
        let (name, rest) = rest.split_once('(').unwrap_or_else(|| panic!("{line}"));
        calls.push(Call { thread, name: name.to_owned(), entered: at, left: usize::MAX, ..Call::default() });
        let i = calls.len() - 1;
        match rest.strip_suffix(" <unfinished ...>") {
            Some(begun) => {
                // Whole for a call that the process did not live to see the end of.
                calls[i].given(begun);
                open.push((i, begun.to_owned()));
            }
            None => finish(&mut calls[i], rest, at),
        }
    }
    calls
}

fn finish(call: &mut Call, text: &str, at: usize) {
    let (args, returned) = text.rsplit_once(") = ").or(text.rsplit_once(")  = ")).unwrap_or_else(|| {
        // Aligned with more blanks.
        let (args, returned) = text.rsplit_once('=').unwrap_or_else(|| panic!("{text}"));
        (args.trim_end().trim_end_matches(')'), returned)
    });
    call.given(args);
    let number: String = returned.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
    call.returned = number.parse().unwrap_or(-1);
    call.injected = returned.contains("(INJECTED)");
    // `?`: the process died in it.
    call.left = if returned.trim() == "?" { usize::MAX } else { at };
}

/// `jijia serve` with every change recorded in `file`, from its very start, and faults where `inject` says so. The
/// record is whole when [`Serve::rest`] has returned after the end: strace holds the other end of the log.
pub fn recorded(data: &Path, file: &Path, inject: Option<&str>) -> Serve {
    let mut strace = Command::new("strace");
    // -D: the service stays our child, strace becomes its grandchild.
    strace.args(["-D", "-f", "-y", "-xx", "-s", "4000000", "-e", CHANGES, "-o"]).arg(file);
    // Twice as quick, but strace 6.1 then sends no signals.
    match inject {
        Some(inject) => strace.args(["-e", inject]),
        None => strace.arg("--seccomp-bpf"),
    };
    Serve::run(&mut over(strace, &serve(data)))
}

/// strace on a running service; ends with it, or when dropped.
pub struct Attached {
    strace: Child,
}

impl Attached {
    /// Returns when every thread is watched.
    pub fn to(serve: &Serve, file: &Path, expressions: &[&str]) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-xx", "-s", "4000", "-p", &serve.child.id().to_string(), "-o"]).arg(file);
        for expression in expressions {
            command.args(["-e", expression]);
        }
        let mut strace = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
        let first = said.next().expect("a word of strace").unwrap();
        assert!(first.contains("attached"), "{first}");
        // It says little more; its pipe never fills.
        std::thread::spawn(move || said.for_each(drop));
        Self { strace }
    }

    /// Waits for its end, which is that of the service.
    pub fn wait(mut self) {
        self.strace.wait().unwrap();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}
