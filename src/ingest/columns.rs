//! Which column of a table of observations is what: by its heading, by a column map, and by the options.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::tz::Offset;

use super::column_map::{ColumnMap, MappedColumn};
use super::import_observations::Options;
use super::local_time;
use super::table::Table;
use crate::error::{Error, Result};
use crate::water::observation::Processing;
use crate::water::property::{self, Heading};
use crate::water::unit::{self, Scale};

/// All that is known of a table before its first row is judged.
#[derive(Debug)]
pub(super) struct Columns {
    pub layout: Layout,
    pub time: usize,
    pub station: StationOf,
    /// `None`: every time has its own.
    pub zone: Option<Offset>,
    /// Headings that are not taken.
    pub ignored: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Layout {
    Wide(Vec<Column>),
    Long {
        property: usize,
        value: usize,
        unit: Option<usize>,
        mark: Option<usize>,
        processing: Option<usize>,
    },
}

#[derive(Debug)]
pub(super) struct Column {
    pub at: usize,
    pub scale: Scale,
    pub processing: Processing,
    pub mark: Option<usize>,
}

#[derive(Debug)]
pub(super) enum StationOf {
    /// One for all rows, and whether the place knows it.
    All {
        code: String,
        configured: bool,
    },
    Column(usize, BTreeMap<String, String>),
}

/// A bad cell: its column and what was found.
pub(super) type CellError = (usize, String);

impl StationOf {
    /// The station's code for a row.
    pub fn of<'a>(&'a self, cells: &csv::StringRecord) -> Result<&'a str, CellError> {
        match self {
            Self::All { code, .. } => Ok(code),
            Self::Column(at, codes) => codes.get(cells[*at].trim()).map(String::as_str).ok_or_else(|| {
                let message = format!(
                    "station `{}` is not known; allowed: a code or name of the place's stations, or [stations] in a map",
                    cells[*at].trim()
                );
                (*at, message)
            }),
        }
    }
}

impl Columns {
    pub fn resolve(table: &Table, options: &Options) -> Result<Self> {
        let map = &options.map;
        let known = columns_by_alias(table, map)?;
        let find = |named: Option<&str>, role: &Heading| match named {
            Some(heading) => position(table, heading).map(Some),
            None => Ok(known.iter().find(|(_, heading)| heading == role).map(|(at, _)| *at)),
        };
        let time = find(map.time.as_deref(), &Heading::Time)?.ok_or_else(|| {
            let message =
                "no column of times; allowed: 监测时间, 采样时间, 时间, datetime, or `time` in a map";
            Error::invalid("time", message)
        })?;
        let station = station_of(options, find(map.station.as_deref(), &Heading::Station)?, table)?;
        let layout = layout(table, map, &known)?;
        let used = used_columns(&layout, time, &station);
        let headings = table.headings().iter().enumerate();
        let ignored = headings.filter(|(at, h)| !used.contains(at) && !h.is_empty()).map(|(_, h)| h.clone());
        Ok(Self { ignored: ignored.collect(), zone: zone_of(options, table, time)?, layout, time, station })
    }
}

fn station_of(options: &Options, column: Option<usize>, table: &Table) -> Result<StationOf> {
    match (&options.station, column) {
        (Some(code), Some(at)) => Err(Error::invalid(
            "--station",
            format!("`{code}`, but the column `{}` names the stations; leave one out", table.headings()[at]),
        )),
        (Some(code), None) => {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            if code.is_empty() || code.chars().count() > 64 || !code.chars().all(plain) {
                return Err(Error::invalid("--station", "allowed: 1 to 64 letters, digits, - _ ."));
            }
            let configured = options.stations.iter().any(|(known, _)| known == code);
            Ok(StationOf::All { code: code.clone(), configured })
        }
        (None, Some(at)) => {
            let place = options.stations.iter();
            let mut codes: BTreeMap<String, String> = place
                .flat_map(|(code, name)| [(code, code), (name, code)])
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            codes.extend(options.map.stations.clone());
            Ok(StationOf::Column(at, codes))
        }
        (None, None) => Err(Error::invalid(
            "--station",
            "the table has no column of stations (断面名称, 点位, 站点 …); give the station's code, for example JJH-S1",
        )),
    }
}

/// The zone of local times; not needed where every time has its own.
fn zone_of(options: &Options, table: &Table, time: usize) -> Result<Option<Offset>> {
    match (options.zone.as_deref(), options.map.zone.as_deref()) {
        (Some(zone), _) => local_time::zone(zone, "--zone").map(Some),
        (None, Some(zone)) => local_time::zone(zone, "zone").map(Some),
        (None, None) => {
            let first = table.rows().find_map(Result::ok);
            if first.is_none_or(|(_, cells)| local_time::has_offset(&cells[time])) {
                return Ok(None);
            }
            let heading = &table.headings()[time];
            Err(Error::invalid(
                "--zone",
                format!("the times of `{heading}` carry no zone; give it, for example +08:00"),
            ))
        }
    }
}

fn position(table: &Table, heading: &str) -> Result<usize> {
    table.position(heading).ok_or_else(|| {
        Error::invalid(heading, format!("no such column; there are: {}", table.headings().join(", ")))
    })
}

fn columns_by_alias(table: &Table, map: &ColumnMap) -> Result<Vec<(usize, Heading)>> {
    let mut columns = Vec::new();
    let mapped = |h: &String| map.ignore.contains(h) || map.column.iter().any(|c| c.heading == *h);
    for (at, heading) in table.headings().iter().enumerate().filter(|(_, h)| map.aliases && !mapped(h)) {
        columns.extend(property::heading(heading)?.map(|known| (at, known)));
    }
    Ok(columns)
}

fn layout(table: &Table, map: &ColumnMap, known: &[(usize, Heading)]) -> Result<Layout> {
    let any = |names: &[&str]| {
        table.headings().iter().position(|h| names.iter().any(|n| n.eq_ignore_ascii_case(h)))
    };
    let property = any(&["property", "指标", "监测指标", "监测项目", "项目", "参数"]);
    let value = any(&["value", "监测值", "数值", "值", "结果"]);
    if let (Some(property), Some(value), true) = (property, value, map.column.is_empty()) {
        return Ok(Layout::Long {
            property,
            value,
            unit: any(&["unit", "单位"]),
            mark: any(&["mark", "标记"]),
            processing: any(&["processing", "审核状态"]),
        });
    }
    let mut columns = mapped_columns(table, map)?;
    columns.extend(known.iter().filter_map(|(at, heading)| match heading {
        Heading::Values(scale) => {
            Some(Column { at: *at, scale: scale.clone(), processing: Processing::Raw, mark: None })
        }
        _ => None,
    }));
    columns.sort_by_key(|c| c.at);
    let mut seen = HashMap::new();
    for c in &columns {
        if let Some(other) = seen.insert((c.scale.property().key, c.processing), c.at) {
            let (a, b) = (&table.headings()[other], &table.headings()[c.at]);
            return Err(Error::invalid(
                b.as_str(),
                format!("the same property as `{a}`; choose one by a map"),
            ));
        }
    }
    if columns.is_empty() {
        let message =
            "no column of values is known; headings such as 溶解氧(mg/L), or a map with --map FILE.toml";
        return Err(Error::invalid("file", message));
    }
    Ok(Layout::Wide(columns))
}

fn mapped_columns(table: &Table, map: &ColumnMap) -> Result<Vec<Column>> {
    let column = |c: &MappedColumn| {
        let property = property::find(&c.property).ok_or_else(|| {
            let keys = property::PROPERTIES.iter().map(|p| p.key).collect::<Vec<_>>().join(", ");
            Error::invalid(
                c.heading.as_str(),
                format!("property `{}` is not known; allowed: {keys}", c.property),
            )
        })?;
        Ok(Column {
            at: position(table, &c.heading)?,
            scale: unit::scale(property, c.unit.as_deref(), &c.heading)?,
            processing: c.processing,
            mark: c.mark.as_deref().map(|mark| position(table, mark)).transpose()?,
        })
    };
    map.column.iter().map(column).collect()
}

fn used_columns(layout: &Layout, time: usize, station: &StationOf) -> HashSet<usize> {
    let mut used = HashSet::from([time]);
    if let StationOf::Column(at, _) = station {
        used.insert(*at);
    }
    match layout {
        Layout::Wide(columns) => used.extend(columns.iter().flat_map(|c| [Some(c.at), c.mark]).flatten()),
        Layout::Long { property, value, unit, mark, processing } => {
            used.extend([Some(*property), Some(*value), *unit, *mark, *processing].into_iter().flatten());
        }
    }
    used
}
