//! What an import would do, for a person to read before it does: `--dry-run`.

use std::fmt::{Display, Formatter, Result};

use super::columns::{Column, Layout, StationOf};
use super::import_observations::{Import, Row};
use crate::clock;
use crate::water::observation::Processing;
use crate::water::property;

/// Rows shown.
const ROWS: usize = 3;

/// The preview of an import, in Chinese.
#[derive(Debug)]
pub struct Plan<'a>(&'a Import);

impl Import {
    /// The preview.
    #[must_use]
    pub fn plan(&self) -> Plan<'_> {
        Plan(self)
    }
}

impl Display for Plan<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (table, columns) = (&self.0.table, &self.0.columns);
        writeln!(f, "文件：{}（{}，{} 行）", self.0.file_name, table.form(), table.lines())?;
        match columns.zone {
            Some(zone) => write!(f, "时间：「{}」，时区 {zone}", table.headings()[columns.time])?,
            None => write!(f, "时间：「{}」，各自带时区", table.headings()[columns.time])?,
        }
        writeln!(f, "{}", self.0.zone_note.as_deref().map(|n| format!("（{n}）")).unwrap_or_default())?;
        match &columns.station {
            StationOf::All { code, configured: true } => writeln!(f, "监测点：{code}")?,
            StationOf::All { code, .. } => {
                writeln!(f, "监测点：{code}（未在湖泊配置中，数值可存，地图上不显示）")?;
            }
            StationOf::Column(at, _) => writeln!(f, "监测点：按「{}」列", table.headings()[*at])?,
        }
        self.columns(f)?;
        if !columns.ignored.is_empty() {
            writeln!(f, "不导入：{}", columns.ignored.join("、"))?;
        }
        writeln!(f, "前几行：")?;
        self.0.rows().take(ROWS).try_for_each(|row| show(f, &row))
    }
}

impl Plan<'_> {
    fn columns(&self, f: &mut Formatter<'_>) -> Result {
        let heading = |at: usize| self.0.table.headings()[at].as_str();
        match &self.0.columns.layout {
            Layout::Wide(values) => values.iter().try_for_each(|column| self.column(f, column)),
            Layout::Long { property, value, .. } => {
                writeln!(f, "每行一值：指标「{}」，数值「{}」", heading(*property), heading(*value))
            }
        }
    }

    fn column(&self, f: &mut Formatter<'_>, column: &Column) -> Result {
        let (scale, headings) = (&column.scale, self.0.table.headings());
        let property = scale.property();
        let name = format!("{} {}", property.zh, property::unit_words(property.unit));
        write!(f, "  「{}」→ {}", headings[column.at], name.trim_end())?;
        write!(f, "（{}", processing_words(column.processing))?;
        if scale.shift() != 0 {
            write!(f, "，{} × 10^{}", scale.given(), scale.shift())?;
        }
        if let Some(mark) = column.mark {
            write!(f, "，人工标记「{}」", headings[mark])?;
        }
        writeln!(f, "）")
    }
}

fn processing_words(processing: Processing) -> &'static str {
    match processing {
        Processing::Raw => "原始",
        Processing::Reviewed => "已审核",
    }
}

fn show(f: &mut Formatter<'_>, row: &Row) -> Result {
    if let Some(first) = row.observations.first() {
        write!(
            f,
            "  第 {} 行 {} 北京时间 {}：",
            row.line,
            clock::beijing_minute(clock::from_ms(first.at_ms)),
            first.station
        )?;
        let values = row.observations.iter().map(|o| {
            let name = property::find(&o.property).map_or(o.property.as_str(), |p| p.zh);
            let name = match o.processing {
                Processing::Raw => name.to_owned(),
                Processing::Reviewed => format!("{name}(已审核)"),
            };
            match o.value.number {
                Some(number) => format!("{name} {number}"),
                None => format!("{name} 无数值({})", o.value.as_received()),
            }
        });
        writeln!(f, "{}", values.collect::<Vec<_>>().join("，"))?;
    }
    row.errors.iter().try_for_each(|error| writeln!(f, "  {error}"))
}
