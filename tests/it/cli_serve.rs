//! `jijia serve` as a process: who may start it, and how it ends.

use std::io::{Read, Write};
use std::path::Path;

use crate::cli::jijia;
use crate::serve::{Serve, answer, request, serve};
use crate::service::{jpeg, sha256_of};

/// Runs `serve`, which must refuse to start; its words.
pub fn refused(data: &Path, env: &[(&str, &str)]) -> String {
    let out = serve(data).envs(env.iter().copied()).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn one_service_per_directory_and_a_request_under_way_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Serve::start(dir.path());
    assert!(running.get("/livez").status == 200);
    let link = dir.path().join("setup-link");
    assert!(std::fs::read_to_string(&link).unwrap().contains("/join#"), "nobody governs yet");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&link).unwrap().permissions().mode() & 0o077, 0);
    }
    let said = refused(dir.path(), &[]);
    assert!(said.contains("another `jijia serve`") && said.contains("--data"), "{said}");

    // A photo half sent, then SIGTERM, then its other half.
    let photo = jpeg(7);
    let mut line = running.client.connect().unwrap();
    let all = request(
        "PUT",
        &format!("/api/v1/photos/{}", sha256_of(&photo)),
        &[("expect", "100-continue")],
        &photo,
    );
    line.write_all(&all[..all.len() - photo.len()]).unwrap();
    let mut go_on = [0; 25];
    line.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the handler is at work");
    line.write_all(&photo[..photo.len() / 2]).unwrap();
    running.terminate();
    // It has heard: nothing new is taken.
    running.heard("stopping");
    line.write_all(&photo[photo.len() / 2..]).unwrap();
    answer(line).unwrap().created();
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    let rest = running.rest();
    assert!(!rest.contains("WARN") && !rest.contains("ERROR"), "{rest}");

    // The directory is free again and the photo is there.
    let running = Serve::start(dir.path());
    assert!(running.get(&format!("/api/v1/photos/{}/preview", sha256_of(&photo))).status == 200);
}

#[test]
fn a_newer_database_another_address_and_a_taken_port_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(dir.path(), &[("JIJIA_SERVER_LISTEN", "0.0.0.0:0")]);
    assert!(said.contains("server.listen") && said.contains("without HTTPS"), "{said}");
    assert!(!dir.path().join("jijia.db").exists(), "refused before anything is made");
    let running = Serve::start(dir.path());
    let other = tempfile::tempdir().unwrap();
    let said = refused(other.path(), &[("JIJIA_SERVER_LISTEN", &running.client.0.to_string())]);
    assert!(said.contains("server.listen") && said.contains(&running.client.0.to_string()), "{said}");
    drop(running);
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let known: i64 = db.query_row("pragma user_version", [], |r| r.get(0)).unwrap();
    db.execute_batch(&format!("pragma user_version = {}", known + 1)).unwrap();
    drop(db);
    let said = refused(dir.path(), &[]);
    assert!(said.contains("newer jijia") && said.contains(&format!("schema {}", known + 1)), "{said}");
}

#[test]
fn a_low_disk_is_said_at_the_start_and_in_readyz() {
    let dir = tempfile::tempdir().unwrap();
    // More than any disk has free.
    let running = Serve::run(serve(dir.path()).env("JIJIA_DATA_LOW_SPACE_BYTES", "9000000000000000000"));
    let ready = running.get("/readyz");
    assert!(ready.status == 200 && ready.text().contains("\"disk: "), "{ready:?}");
    let other = tempfile::tempdir().unwrap();
    let running = Serve::run(serve(other.path()).env("JIJIA_DATA_LOW_SPACE_BYTES", "1"));
    assert!(running.get("/readyz").text().contains("\"warnings\":[]"));
}

#[test]
fn the_log_is_plain_text_where_it_is_no_terminal_and_json_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Serve::start(dir.path());
    running.terminate();
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    let rest = running.rest();
    assert!(rest.contains("stopping") && !rest.contains('\u{1b}'), "{rest:?}");
    let mut running = Serve::run(serve(dir.path()).env("JIJIA_LOG_FORMAT", "json"));
    running.terminate();
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    let rest = running.rest();
    for line in rest.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn a_tool_writes_beside_the_service_and_the_service_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = Serve::start(dir.path());
    let (data, file) = (dir.path().to_str().unwrap(), dir.path().join("reports.csv"));
    std::fs::write(
        &file,
        "发现时间,问题类型,经度,纬度,坐标系\n2025-07-14 05:20,污水,113.114079,29.39928,WGS84\n",
    )
    .unwrap();
    let (file, out) = (file.to_str().unwrap(), dir.path().join("t.csv"));
    let size = || running.get("/api/v1/head").json()["log_size"].as_u64().unwrap();
    let before = size();
    for args in [
        &["--data", data, "import", "reports", file, "--zone", "+08:00"][..],
        &["--data", data, "timeline", "-o", out.to_str().unwrap()],
    ] {
        let done = jijia(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(size(), before + 2, "the report and the export");
    assert!(running.get("/api/v1/timeline?outfall=JJH-PK-0003").text().contains("\"row\":\"sighting\""));
}
