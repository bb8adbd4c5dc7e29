//! `jijia import observations FILE.csv`: tables of observations, wide (one column per property) or long (one row
//! per value), into the store. What is missing is kept as missing, a mark stays with its value, and a second run
//! adds nothing.

use std::collections::HashMap;

use indicatif::ProgressBar;
use jiff::Timestamp;

use super::column_map::ColumnMap;
use super::columns::{CellError, Column, Columns, Layout};
use super::local_time;
use super::table::{RowError, Table};
use crate::error::Result;
use crate::evidence::entry::SHELL;
use crate::store::Store;
use crate::water::observation::{NewBatch, NewObservation, Processing};
use crate::water::property::{self, Heading};
use crate::water::unit::{self, Scale};

/// Observations of one commit.
const CHUNK: usize = 4_000;
/// Errors kept with their text; more are only counted.
const MAX_ERRORS: usize = 1_000;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the file without its path: the source in the log.
    pub file_name: String,
    /// `--preset` or `--map`.
    pub map: ColumnMap,
    /// `--station`: the station of all rows, where the table has no column for it.
    pub station: Option<String>,
    /// `--zone`: zone of local times, over the map's.
    pub zone: Option<String>,
    /// Code and name of the stations of the place.
    pub stations: Vec<(String, String)>,
}

/// A table whose columns are understood.
#[derive(Debug)]
pub struct Import {
    pub(super) file_name: String,
    pub(super) table: Table,
    pub(super) columns: Columns,
    /// A doubt about the zone.
    pub(super) zone_note: Option<String>,
    time_format: Option<String>,
    sentinels: Vec<f64>,
    now: Timestamp,
}

/// What one row becomes; the good cells of a row go in even if another is bad.
#[derive(Debug)]
pub struct Row {
    /// Line of the file.
    pub line: u64,
    /// Its values, missing ones with them.
    pub observations: Vec<NewObservation>,
    /// Its bad cells.
    pub errors: Vec<RowError>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows read.
    pub rows: u64,
    /// Observations that were new, corrections and missing values with them.
    pub added: u64,
    /// Observations already known.
    pub known: u64,
    /// Of the added: a second value for a datastream and time.
    pub corrections: u64,
    /// Observations read that have no number.
    pub without_number: u64,
    /// Bad cells and rows, all of them.
    pub error_count: u64,
    /// The first thousand of them.
    pub errors: Vec<RowError>,
}

impl Outcome {
    fn read(&mut self, row: &Row) {
        self.rows += 1;
        self.without_number += row.observations.iter().filter(|o| o.value.number.is_none()).count() as u64;
    }

    fn note(&mut self, errors: Vec<RowError>) {
        self.error_count += errors.len() as u64;
        let room = MAX_ERRORS - self.errors.len();
        self.errors.extend(errors.into_iter().take(room));
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "共 {} 行：新增 {}（其中更正 {}），已有 {}，无数值 {}，出错 {}",
            self.rows, self.added, self.corrections, self.known, self.without_number, self.error_count
        )
    }
}

impl Import {
    /// Understands the columns of `table`. `now` bounds the times that are taken.
    ///
    /// # Errors
    /// `Invalid` with the heading or the option (`--zone`, `--station`) and what is allowed; no row is judged yet.
    pub fn new(table: Table, options: Options, now: Timestamp) -> Result<Self> {
        Ok(Self {
            columns: Columns::resolve(&table, &options)?,
            file_name: options.file_name,
            zone_note: options.map.zone_note.filter(|_| options.zone.is_none()),
            time_format: options.map.time_format,
            sentinels: options.map.missing,
            now,
            table,
        })
    }

    /// The rows, judged one by one.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let mut scales = HashMap::new();
        self.table.rows().map(move |row| match row {
            Ok((line, cells)) => self.row(line, &cells, &mut scales),
            Err(error) => Row { line: error.line, observations: Vec::new(), errors: vec![error] },
        })
    }

    /// Lines of the table, for a progress bar.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.table.lines()
    }

    /// Judges every row and stores nothing.
    #[must_use]
    pub fn check(&self) -> Outcome {
        let mut outcome = Outcome::default();
        for row in self.rows() {
            outcome.read(&row);
            outcome.note(row.errors);
        }
        outcome
    }

    fn row(&self, line: u64, cells: &csv::StringRecord, scales: &mut Scales) -> Row {
        let mut row = Row { line, observations: Vec::new(), errors: Vec::new() };
        if let Err((at, message)) = self.fill(&mut row, cells, scales) {
            row.errors.push(self.blame(line, at, message));
        }
        row
    }

    fn blame(&self, line: u64, at: usize, message: String) -> RowError {
        RowError { line, column: self.table.headings()[at].clone(), message }
    }

    /// Without time, station or (in a long table) property the row as a whole is bad; a bad value only itself.
    fn fill(&self, row: &mut Row, cells: &csv::StringRecord, scales: &mut Scales) -> Result<(), CellError> {
        let columns = &self.columns;
        let at =
            local_time::instant(&cells[columns.time], columns.zone, self.time_format.as_deref(), self.now)
                .map_err(|message| (columns.time, message))?;
        let station = columns.station.of(cells)?;
        let one;
        let values = match &columns.layout {
            Layout::Wide(values) => values,
            Layout::Long { property, value, unit, mark, processing } => {
                let scale = long_scale(cells, *property, *unit, scales)?;
                let processing = long_processing(cells, *processing)?;
                one = vec![Column { at: *value, scale, processing, mark: *mark }];
                &one
            }
        };
        for column in values {
            match self.observation(column, cells, station, at.as_millisecond()) {
                Ok(observation) => row.observations.push(observation),
                Err(message) => row.errors.push(self.blame(row.line, column.at, message)),
            }
        }
        Ok(())
    }

    fn observation(
        &self,
        column: &Column,
        cells: &csv::StringRecord,
        station: &str,
        at_ms: i64,
    ) -> Result<NewObservation, String> {
        let property = column.scale.property();
        let mark = column.mark.map(|at| cells[at].trim()).filter(|mark| !unit::is_missing(mark));
        Ok(NewObservation {
            station: station.to_owned(),
            property: property.key.to_owned(),
            unit: property.unit.to_owned(),
            processing: column.processing,
            at_ms,
            value: column.scale.read(&cells[column.at], &self.sentinels)?,
            mark: mark.map(Into::into),
        })
    }
}

type Scales = HashMap<(String, String), Result<Scale, String>>;

fn long_scale(
    cells: &csv::StringRecord,
    property: usize,
    unit: Option<usize>,
    scales: &mut Scales,
) -> Result<Scale, CellError> {
    let (name, given) = (cells[property].trim(), unit.map_or("", |at| cells[at].trim()));
    let scale = scales.entry((name.to_owned(), given.to_owned())).or_insert_with(|| {
        // 溶解氧 with mg/L beside it is read as 溶解氧(mg/L).
        let heading = if given.is_empty() { name.to_owned() } else { format!("{name}({given})") };
        match property::heading(&heading) {
            Ok(Some(Heading::Values(scale))) => Ok(scale),
            Ok(_) => Err(format!("`{name}` is no property; allowed: 溶解氧, pH, 氨氮, do, nh3n and so on")),
            Err(e) => Err(e.to_string()),
        }
    });
    scale.clone().map_err(|message| (property, message))
}

fn long_processing(cells: &csv::StringRecord, processing: Option<usize>) -> Result<Processing, CellError> {
    let Some(at) = processing else { return Ok(Processing::Raw) };
    match cells[at].trim() {
        "" | "raw" | "原始" => Ok(Processing::Raw),
        "reviewed" | "已审核" | "审核" => Ok(Processing::Reviewed),
        other => Err((at, format!("`{other}`; allowed: raw (原始), reviewed (已审核)"))),
    }
}

/// Brings the rows into the store in commits of at most 4,000 observations. With `strict` nothing is stored if any
/// cell is bad.
///
/// # Errors
/// Those of the store. What was committed before stays; a second run drops it as known and goes on.
pub async fn run(store: &Store, import: &Import, strict: bool, bar: &ProgressBar) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if strict {
        let found = import.check();
        if found.error_count > 0 {
            return Ok(found);
        }
    }
    let mut chunk = Vec::with_capacity(CHUNK);
    for row in import.rows() {
        outcome.read(&row);
        outcome.note(row.errors);
        if chunk.len() + row.observations.len() > CHUNK {
            commit(store, import, &mut chunk, &mut outcome).await?;
            bar.set_position(outcome.rows);
        }
        chunk.extend(row.observations);
    }
    commit(store, import, &mut chunk, &mut outcome).await?;
    bar.finish_and_clear();
    Ok(outcome)
}

async fn commit(
    store: &Store,
    import: &Import,
    chunk: &mut Vec<NewObservation>,
    outcome: &mut Outcome,
) -> Result<()> {
    if chunk.is_empty() {
        return Ok(());
    }
    let observations = std::mem::replace(chunk, Vec::with_capacity(CHUNK));
    let (source, file) = ("import".to_owned(), Some(import.file_name.clone()));
    // Crash after this line: the chunk is durable, a second run finds it known and goes on behind it.
    let stored = store
        .add_observations(NewBatch { source, by: SHELL.into(), observations, file, dead: Vec::new() })
        .await?;
    outcome.added += stored.added;
    outcome.known += stored.known;
    outcome.corrections += stored.corrections;
    Ok(())
}
