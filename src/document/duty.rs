//! Patrol duty (巡查履职) as CSV, the same rows as page and API, written as [`super::table`] writes the ledger.

use std::io::Write;

use super::table::{Cell, count, csv_error, plain, text};
use crate::error::Result;
use crate::lake::Place;
use crate::patrol::duty::{Compliance, DutyFilter, DutyRow};
use crate::patrol::roster::ExcuseKind;
use crate::patrol::walk::ReachedBy;

const COLUMNS: [&str; 17] = [
    "日期",
    "时段",
    "起（北京时间）",
    "止（北京时间）",
    "岸段",
    "状态",
    "当班人员",
    "巡查人员",
    "首次到岸（北京时间）",
    "迟传",
    "应到点",
    "已到点",
    "其中仅定位",
    "未到点",
    "未巡原因",
    "待核",
    "巡查编号",
];
/// What every line states: of which moment, of what, by which roster.
const AFTER: [&str; 6] =
    ["数据截止（北京时间）", "筛选条件", "日志条目数", "日志根哈希", "值班表哈希（SHA-256）", "声明"];

/// What was asked, in words.
#[must_use]
pub fn filter_words(filter: &DutyFilter, place: &Place) -> String {
    let mut said = vec![format!("巡查履职：{} 至 {}", filter.from, filter.to)];
    let name = |code: &String| place.sectors.iter().find(|s| s.code == *code).map(|s| s.name.as_str());
    said.extend(filter.sector.as_ref().map(|code| format!("岸段 {}", name(code).unwrap_or(code))));
    said.extend(filter.person.as_ref().map(|id| format!("人员 {id}")));
    said.join("，")
}

/// Writes one line per day, window and sector.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(shown: &Compliance, place: &Place, mut out: impl Write) -> Result<()> {
    out.write_all("\u{feff}".as_bytes())?;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    csv.write_record(COLUMNS.iter().chain(&AFTER)).map_err(csv_error)?;
    let stated = [
        Cell::Time(shown.cut_off),
        text(filter_words(&shown.filter, place)),
        Cell::Number(shown.log_size as f64),
        text(&shown.log_root),
        text(roster(shown)),
        text(if shown.demo { "演示数据" } else { "" }),
    ];
    let mut write = |cells: [Cell; COLUMNS.len()]| {
        csv.write_record(cells.into_iter().chain(stated.clone()).map(plain)).map_err(csv_error)
    };
    shown.rows.iter().try_for_each(|row| write(cells(row)))?;
    if shown.rows.is_empty() {
        // Without a line the file would say nothing of what it was asked, and when.
        let mut none = [const { Cell::Empty }; COLUMNS.len()];
        none[0] = text("无记录");
        write(none)?;
    }
    csv.flush()?;
    Ok(())
}

fn roster(shown: &Compliance) -> String {
    match (&shown.roster_warning, &shown.roster) {
        (Some(why), _) => format!("值班表有误，暂不采用：{why}"),
        (None, Some(sha256)) => sha256.clone(),
        (None, None) => "无".to_owned(),
    }
}

fn cells(row: &DutyRow) -> [Cell; COLUMNS.len()] {
    let missed = row.waypoints.iter().filter(|w| w.by.is_none()).map(|w| w.waypoint.name.as_str());
    let by_fence = row.waypoints.iter().filter(|w| w.by == Some(ReachedBy::Fence)).count();
    let excuse = row.excuse.as_ref().map(|e| match e.kind {
        ExcuseKind::Leave => format!("请假：{}", e.reason),
        ExcuseKind::Weather => format!("恶劣天气：{}", e.reason),
    });
    [
        text(row.day.to_string()),
        text(&row.window.name),
        Cell::Time(row.from),
        Cell::Time(row.to),
        text(&row.sector.name),
        text(row.state.zh()),
        text(row.on_duty.join("、")),
        text(row.walked_by.join("、")),
        row.walked_at.map_or(Cell::Empty, Cell::Time),
        text(if row.late { "迟传" } else { "" }),
        count(row.waypoints.len()),
        count(row.reached()),
        count(by_fence),
        text(missed.collect::<Vec<_>>().join("、")),
        text(excuse.unwrap_or_default()),
        text(row.flags.iter().map(|f| f.zh()).collect::<Vec<_>>().join("、")),
        text(row.patrols.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    ]
}
