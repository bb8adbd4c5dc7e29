//! `jijia import reports FILE.csv|.xlsx|.geojson`: each row becomes the body that a phone would post and goes through the
//! same door as `POST /api/v1/reports`.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::coordinate::{self, CRS_WORDS};
use super::local_time;
use super::report_row::{self, Cell, Column, Defaults};
use super::table::{RowError, Table};
use crate::error::{Error, Result};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--crs`: of all positions without one of their own; over the map's.
    pub crs: Option<String>,
    /// `--zone`: of local times, `+08:00`; over the map's.
    pub zone: Option<String>,
    /// `--map`.
    pub map: ReportMap,
    /// `--sheet`: of a workbook; without it the first.
    pub sheet: Option<String>,
}

/// Which column of a table of reports is what, where its headings are not the usual ones (`--map FILE.toml`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportMap {
    /// Reference system of positions without one of their own.
    pub crs: Option<String>,
    /// Zone of local times, `+08:00`.
    pub zone: Option<String>,
    /// Headings that are not taken even if an alias knows them.
    pub ignore: Vec<String>,
    /// Heading, exactly → key of `config/report_aliases.csv`. Others are looked up in the aliases.
    pub column: BTreeMap<String, String>,
}

impl ReportMap {
    /// Reads a map; `name` is what errors call it.
    ///
    /// # Errors
    /// `Invalid` with the place in the file, or for a key that no report has.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let map: Self = toml::from_str(text).map_err(|e| Error::invalid(name, e.to_string()))?;
        if let Some(word) = map.crs.as_deref().filter(|word| coordinate::crs(word).is_none()) {
            return Err(Error::invalid(format!("{name}: crs"), format!("`{word}`; allowed: {CRS_WORDS}")));
        }
        map.zone.as_deref().map(|zone| local_time::zone(zone, &format!("{name}: zone"))).transpose()?;
        for (heading, key) in &map.column {
            if report_row::keyed(key).is_none() {
                let keys = report_row::keys().join(", ");
                return Err(Error::invalid(
                    format!("{name}: column.{heading}"),
                    format!("`{key}`; allowed: {keys}"),
                ));
            }
        }
        Ok(map)
    }

    fn column(&self, heading: &str) -> Option<&'static Column> {
        if self.ignore.iter().any(|ignored| ignored == heading) {
            return None;
        }
        match self.column.get(heading) {
            Some(key) => report_row::keyed(key),
            None => report_row::column(heading),
        }
    }
}

/// A file of reports, read.
#[derive(Debug)]
pub struct Import {
    rows: Vec<Result<Row, RowError>>,
    /// Headings that were understood.
    pub known: Vec<String>,
    /// Headings that are not taken.
    pub ignored: Vec<String>,
    map: ReportMap,
    defaults: Defaults,
}

#[derive(Debug)]
struct Row {
    line: u64,
    cells: Vec<Cell>,
    ring: Option<Vec<[f64; 2]>>,
}

/// What an import did.
#[derive(Debug)]
pub struct Outcome<R> {
    /// Rows read.
    pub rows: u64,
    /// What the door answered, by line.
    pub receipts: Vec<(u64, R)>,
    /// Rows that were refused, by us or at the door.
    pub errors: Vec<RowError>,
}

impl Import {
    /// Reads a file: GeoJSON if it begins with `{`, else a table.
    ///
    /// # Errors
    /// `Invalid` or `Unsupported` for the file as a whole; a bad row waits for its turn.
    pub fn new(bytes: Vec<u8>, options: &Options, now: Timestamp) -> Result<Self> {
        let map = options.map.clone();
        let crs = options.crs.as_deref().or(map.crs.as_deref()).map(|word| {
            let known = coordinate::crs(word);
            known
                .map(str::to_owned)
                .ok_or_else(|| Error::invalid("--crs", format!("`{word}`; allowed: {CRS_WORDS}")))
        });
        let zone = options.zone.as_deref().or(map.zone.as_deref());
        let defaults = Defaults {
            crs: crs.transpose()?,
            zone: zone.map(|zone| local_time::zone(zone, "--zone")).transpose()?,
            now,
        };
        let mut import = Self { rows: Vec::new(), known: Vec::new(), ignored: Vec::new(), map, defaults };
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        if text.trim_ascii_start().starts_with(b"{") {
            import.read_geojson(text)?;
        } else {
            import.read_table(&Table::from_bytes(bytes, options.sheet.as_deref())?)?;
        }
        Ok(import)
    }

    fn read_table(&mut self, table: &Table) -> Result<()> {
        let mut columns = Vec::new();
        for (at, heading) in table.headings().iter().enumerate().filter(|(_, h)| !h.is_empty()) {
            match self.map.column(heading) {
                Some(column) if columns.iter().any(|(_, c, _)| *c == column) => {
                    return Err(Error::invalid(
                        heading.as_str(),
                        "another column means the same; leave one out",
                    ));
                }
                Some(column) => columns.push((at, column, heading)),
                None => self.ignored.push(heading.clone()),
            }
        }
        self.known = columns.iter().map(|(_, _, heading)| (*heading).clone()).collect();
        for key in ["observed_at", "kind"] {
            if !columns.iter().any(|(_, c, _)| c.is(key)) {
                let message = format!("no column for it; there are: {}", table.headings().join(", "));
                return Err(Error::invalid(key, message));
            }
        }
        let cells = |record: &csv::StringRecord| {
            let cell = |&(at, column, heading): &(usize, _, &String)| Cell {
                column,
                heading: heading.clone(),
                text: record[at].to_owned(),
            };
            columns.iter().map(cell).collect()
        };
        self.rows = table
            .rows()
            .map(|row| row.map(|(line, record)| Row { line, cells: cells(&record), ring: None }))
            .collect();
        Ok(())
    }

    fn read_geojson(&mut self, text: &[u8]) -> Result<()> {
        let wrong = |message: String| Error::invalid("file", message);
        let mut file: Value = serde_json::from_slice(text)
            .map_err(|e| wrong(format!("no JSON: {e}; allowed: a GeoJSON FeatureCollection")))?;
        let Some(Value::Array(features)) = file.get_mut("features").map(Value::take) else {
            return Err(wrong("no `features`; allowed: a GeoJSON FeatureCollection".into()));
        };
        for (number, feature) in (1..).zip(features) {
            let row = self.read_feature(number, feature).map_err(|message| RowError {
                line: number,
                column: String::new(),
                message,
            });
            self.rows.push(row);
        }
        Ok(())
    }

    fn read_feature(&mut self, line: u64, feature: Value) -> Result<Row, String> {
        let feature: geojson::Feature =
            serde_json::from_value(feature).map_err(|e| format!("no GeoJSON feature: {e}"))?;
        let mut row = Row { line, cells: Vec::new(), ring: None };
        for (heading, value) in feature.properties.unwrap_or_default() {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            self.push(&mut row, heading, text);
        }
        match feature.geometry.map(|g| g.value) {
            None => {}
            Some(geojson::GeometryValue::Point { coordinates }) => {
                self.push_point(&mut row, coordinates.as_slice())?;
            }
            Some(geojson::GeometryValue::Polygon { coordinates }) => {
                self.push_ring(&mut row, &coordinates)?;
            }
            Some(other) => {
                return Err(format!("geometry {}; allowed: Point, Polygon, null", other.type_name()));
            }
        }
        Ok(row)
    }

    fn push(&mut self, row: &mut Row, heading: String, text: String) {
        match self.map.column(&heading) {
            Some(column) => {
                if !self.known.contains(&heading) {
                    self.known.push(heading.clone());
                }
                row.cells.push(Cell { column, heading, text });
            }
            None if !self.ignored.contains(&heading) => self.ignored.push(heading),
            None => {}
        }
    }

    /// The geometry is the position, over any columns of coordinates beside it.
    fn push_point(&mut self, row: &mut Row, point: &[f64]) -> Result<(), String> {
        let [lng, lat, ..] = point else { return Err("a point needs longitude and latitude".into()) };
        row.cells.retain(|c| !c.column.is("lng") && !c.column.is("lat"));
        self.push(row, "lng".into(), lng.to_string());
        self.push(row, "lat".into(), lat.to_string());
        Ok(())
    }

    /// A drawn patch (水葫芦): its ring, and its centroid as the 中心点 unless the row has coordinates of its own.
    fn push_ring(&mut self, row: &mut Row, rings: &[Vec<geojson::Position>]) -> Result<(), String> {
        use geo::Centroid;
        let [outer] = rings else { return Err("a polygon with holes; allowed: one ring".into()) };
        let ring: Option<Vec<[f64; 2]>> =
            outer.iter().map(|p| p.as_slice().get(..2).map(|p| [p[0], p[1]])).collect();
        let ring = ring.ok_or("a point of the polygon needs longitude and latitude")?;
        let centre = geo::Polygon::new(ring.clone().into(), vec![]).centroid().ok_or("an empty polygon")?;
        if !row.cells.iter().any(|c| c.column.is("lng")) {
            self.push_point(row, &[centre.x(), centre.y()])?;
        }
        row.ring = Some(ring);
        Ok(())
    }

    /// Rows, for a progress bar.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// There is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The bodies with their lines, one by one: the preview shows the first of them.
    pub fn bodies(&self) -> impl Iterator<Item = Result<(u64, Vec<u8>), RowError>> {
        self.rows.iter().map(|row| {
            let row = row.as_ref().map_err(Clone::clone)?;
            match report_row::body(&row.cells, row.ring.as_deref(), &self.defaults) {
                Ok(body) => Ok((row.line, body)),
                Err((key, message)) => Err(row.blame(&key, message)),
            }
        })
    }
}

impl Row {
    /// The error under the heading that the file itself uses.
    fn blame(&self, field: &str, message: String) -> RowError {
        let cell = self.cells.iter().find(|c| c.column.is(field));
        let column = cell.map_or_else(|| field.to_owned(), |c| c.heading.clone());
        RowError { line: self.line, column, message }
    }
}

/// Brings the rows through `door`, which is that of `POST /api/v1/reports`. What the door refuses is an error of its
/// row; with `strict` nothing is sent if a row cannot even be written as a report.
///
/// # Errors
/// `Unavailable`, `NoSpace` and `Internal` end the run: rows before are stored, and a second run is harmless.
pub async fn run<R>(
    import: &Import,
    strict: bool,
    bar: &ProgressBar,
    mut door: impl AsyncFnMut(Vec<u8>) -> Result<R>,
) -> Result<Outcome<R>> {
    let mut outcome = Outcome { rows: import.len() as u64, receipts: Vec::new(), errors: Vec::new() };
    if strict {
        outcome.errors = import.bodies().filter_map(Result::err).collect();
        if !outcome.errors.is_empty() {
            return Ok(outcome);
        }
    }
    for (row, body) in import.rows.iter().zip(import.bodies()) {
        bar.inc(1);
        let (line, body) = match body {
            Ok(written) => written,
            Err(error) => {
                outcome.errors.push(error);
                continue;
            }
        };
        // Crash after this line: the report may be durable; a second run sends the same bytes under the same id.
        match door(body).await {
            Ok(receipt) => outcome.receipts.push((line, receipt)),
            Err(error) => outcome.errors.push(refused(row.as_ref().ok(), line, error)?),
        }
    }
    bar.finish_and_clear();
    Ok(outcome)
}

fn refused(row: Option<&Row>, line: u64, error: Error) -> Result<RowError> {
    let (field, message) = match error {
        Error::Invalid { field, message }
        | Error::TooLarge { field, message }
        | Error::Unsupported { field, message } => (field, message),
        Error::Conflict(message) => ("id".to_owned(), message),
        Error::NotFound(message) => (String::new(), message),
        other => return Err(other),
    };
    // `position.lat` stands in the column `lat`.
    let key = field.strip_prefix("position.").unwrap_or(&field);
    Ok(match row {
        Some(row) => row.blame(key, message),
        None => RowError { line, column: field, message },
    })
}
