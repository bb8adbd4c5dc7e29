//! 吉家湖巡护: patrol reports and water readings of a small lake, kept as evidence for joint meetings.
//!
//! # The map
//! - [`config`] typed sections; the defaults are `config/default.toml`, embedded. Only `main` sees the whole.
//! - [`error`], [`clock`], [`tls`] what every room may use.
//! - The trade, plain functions over plain types, no I/O: [`lake`] the place and where a position lies in it; [`people`]
//!   roles, how far each reaches, and the secrets they show;
//!   [`patrol`] reports and duty windows; [`water`] observations, rain and dry weather; [`casework`] what a
//!   sighting may claim; [`evidence`] entries, the Merkle tree over them, the timeline's model.
//! - [`store`] the only SQL: one writing thread (rusqlite), readers (sqlx), photos and voice notes by hash.
//! - [`publish`] signs the log's head, so that nobody can change or drop an entry unnoticed.
//! - [`picture`] maps and charts as SVG text: one drawing for page, PDF and Word.
//! - [`mirror`] InfluxDB follows the log; [`document`] Word, PDF, Excel, CSV, GeoJSON from a timeline.
//! - [`witness`] a server for another office: cosigns the heads of logs that only grow.
//! - [`ingest`] MQTT and files in; [`web`] the whole route table, API and pages.
//! - [`calc`] every computation from the shell; [`demo`] a simulated lake with a broker of its own.
//!
//! # Arrows, never reversed (tests/it/arrows.rs reads the `use` lines)
//! `main` → `demo | calc` → `web | ingest | witness` → `mirror | document` → `publish` → `store | picture` →
//! `lake patrol people water casework evidence` → `error clock tls`. What stands left and right of a `|` does not know each other.
//! Each part receives its own section of the config.
//!
//! # Ways through
//! - Request: connection (`web::connections` says how many, and how long one may take) → [`web`]'s guard (who is it, may this
//!   role pass this door, how far) → handler, which asks `web::auth` what of it this actor may see → what is left of
//!   the body is read, so that the answer is heard. The one table of doors is `web::doors`; a route cannot be added elsewhere, nor without its rule.
//! - HTTPS: [`tls::server`] shows a certificate until a newer one takes its place: of files, of [`tls::authority`], or of
//!   [`tls::acme`], which orders it and proves the names within the handshakes of the same port.
//! - Report: body → [`patrol::report`] (parse, then trust) → geotag → `store.add_report` (writing thread: record,
//!   idempotency key and entry in one transaction, group commit) → 201 with its receipt.
//! - Rescue: a phone's archive → [`patrol::outbox`] (member by member, never unpacked) → the doors of single submissions.
//! - Duty: [`patrol::duty`] judges who walked what from `store`'s walks and traces and the place's roster; page, API and CSV
//!   show its rows.
//! - Reading: MQTT poll loop only polls → batch → decode by mapping → `store.add_observations` → commit →
//!   acknowledge on the same connection epoch.
//! - Log: commit → [`publish`] (leaf hashes again from the stored bytes, tiles, the guard file, signature) → checkpoint
//!   and tiles → witnesses, among them phones and desks: `web::heads` answers whether the log goes on from the head that one
//!   keeps (`publish::compare`), and `store` keeps whose head is how old, for papers and warnings.
//! - Custody: [`store::audit`] compares every table and sealed file with the log; [`store::erasure`] erases by law;
//!   [`store::backup`] copies, [`publish::restore`] brings back without a fork.
//! - Evidence: filter → `store.timeline` → page, API or document in a temporary file → rename → the export is an
//!   entry. A bundle is documents, entries and proofs under one checkpoint ([`document::bundle`]); whoever has it checks it
//!   alone ([`evidence::verify`]), or in the browser (`/verify`, by script against the published tiles).

pub mod calc;
pub mod casework;
pub mod clock;
pub mod config;
pub mod demo;
pub mod document;
pub mod error;
pub mod evidence;
pub mod ingest;
pub mod lake;
pub mod mirror;
pub mod patrol;
pub mod people;
pub mod picture;
pub mod publish;
pub mod store;
pub mod tls;
pub mod water;
pub mod web;
pub mod witness;
