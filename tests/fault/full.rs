//! The disk is full: what cannot be kept is refused with 507 or 503, reads go on, and room that comes back is used.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::audit::{Leaf, audit, leaf_of};
use super::shown;
use crate::serve::{Serve, over, serve};
use crate::service::{id, jpeg, report};

/// A disk of 32 MiB in a mount namespace of its own: whoever runs the test may do that, and it goes with its keeper.
pub struct Disk {
    keeper: Child,
    folder: PathBuf,
}

impl Disk {
    pub fn mount(folder: &Path) -> Self {
        let script = "mount -t tmpfs -o size=32m jijia \"$0\" && echo mounted && exec cat";
        let mut keeper = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "NOT RUN: this system allows no mount namespace");
        Self { keeper, folder: folder.to_owned() }
    }

    /// The disk as it is seen from outside.
    fn seen(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper.id());
        Path::new(&root).join(self.folder.strip_prefix("/").unwrap())
    }

    pub fn serve(&self) -> Serve {
        let mut inside = Command::new("nsenter");
        inside.args([
            "--user",
            "--mount",
            "--preserve-credentials",
            "--target",
            &self.keeper.id().to_string(),
        ]);
        let here = std::env::current_dir().unwrap();
        inside.arg(format!("--wdns={}", here.display()));
        Serve::run(&mut over(inside, &serve(&self.folder)))
    }

    /// What lies in `data`, on this disk.
    pub fn copy_from(&self, data: &Path) {
        let copied = Command::new("cp").arg("-r").arg(data.join(".")).arg(self.seen()).status().unwrap();
        assert!(copied.success());
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut filler = std::fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        for block in [65_536, 4096, 1] {
            while filler.write_all(&vec![1; block]).is_ok() {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.seen().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// What a service has acknowledged.
#[derive(Default)]
pub struct Acknowledged {
    reports: Vec<(u32, Leaf)>,
    photos: Vec<(u32, Leaf)>,
}

impl Acknowledged {
    /// Sends the report and the photo `n`; how many of the two were taken.
    fn submit(&mut self, serve: &Serve, n: u32) -> usize {
        let report = serve.client.post_report(report(n).to_string().as_bytes()).unwrap();
        let photo = serve.client.put_photo(&jpeg(n)).unwrap();
        let mut taken = 0;
        for (answer, ledger) in [(report, &mut self.reports), (photo, &mut self.photos)] {
            match answer.status {
                201 => ledger.push((n, leaf_of(&answer))),
                503 | 507 => continue,
                other => panic!("{other}: {}", answer.text()),
            }
            taken += 1;
        }
        taken
    }

    /// Fills the disk, and uses up what room there is inside the files, until nothing is taken; how many were refused.
    pub fn use_up(&mut self, disk: &Disk, serve: &Serve, first: u32) -> usize {
        disk.fill();
        let (mut refused, mut in_a_row) = (0, 0);
        for n in (first..).take(5000) {
            let taken = self.submit(serve, n);
            in_a_row = if taken == 0 { in_a_row + 1 } else { 0 };
            refused += 2 - taken;
            if in_a_row == 10 {
                return refused;
            }
        }
        panic!("the disk is full, and everything is taken");
    }

    /// On a copy, since SQLite would look for what lies under /proc/PID/root in the test's own files. The service
    /// stands still meanwhile.
    fn check(&self, disk: &Disk) {
        let copy = tempfile::tempdir().unwrap();
        let data = copy.path().join("data");
        let done = Command::new("cp").arg("-r").arg(disk.seen()).arg(&data).status().unwrap();
        assert!(done.success());
        let held = audit(&data).unwrap();
        for (n, leaf) in &self.reports {
            assert_eq!(held.reports.get(&id(*n)), Some(leaf));
        }
        for (n, leaf) in &self.photos {
            assert_eq!(held.photos.get(&crate::service::sha256_of(&jpeg(*n))), Some(leaf));
        }
    }
}

#[test]
#[ignore = "needs a mount namespace; tests/run looks whether there may be one"]
fn a_full_disk_is_said_reads_go_on_and_room_that_comes_back_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::mount(dir.path());
    let mut serve = disk.serve();
    let mut acknowledged = Acknowledged::default();
    for n in 0..10 {
        assert_eq!(acknowledged.submit(&serve, n), 2);
    }
    let mut refused = 0;
    let rounds = super::size(5, 50) as u32;
    for round in 1..=rounds {
        refused += acknowledged.use_up(&disk, &serve, round * 10_000);
        if round == 1 {
            // Also after a new start.
            drop(serve);
            serve = disk.serve();
        }
        assert_eq!(serve.get(&format!("/api/v1/reports/{}", id(0))).status, 200);
        assert_eq!(serve.get("/timeline?outfall=JJH-PK-0003").status, 200);
        std::fs::remove_file(disk.filler()).unwrap();
        let back = Instant::now();
        let mut n = round * 10_000 + 9000;
        while acknowledged.submit(&serve, n) < 2 {
            assert!(back.elapsed() < Duration::from_secs(5), "there is room again, and nothing is taken");
            n += 1;
        }
        println!("full: taken again after {} ms", back.elapsed().as_millis());
        acknowledged.check(&disk);
    }
    drop(serve);
    drop(disk.serve());
    acknowledged.check(&disk);
    shown("full", refused, "refusals on a full disk");
}
