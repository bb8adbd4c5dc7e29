//! Files in: tables of observations and of reports, once and again.

use std::path::Path;

use geo::{LineString, MultiPolygon, Polygon};
use indicatif::ProgressBar;
use jiff::Timestamp;
use jijia::clock::Clock;
use jijia::ingest::column_map::ColumnMap;
use jijia::ingest::import_observations::{self, Import, Options};
use jijia::ingest::import_reports;
use jijia::ingest::table::Table;
use jijia::lake::{Outfall, Place, Wgs84, geotag::Locator};
use jijia::patrol::report::{Arrival, parse_report};
use jijia::store::{Opener, Store};
use jijia::water::observation::{NewObservation, Processing};

const BLACKSMITH: &str = include_str!("../fixtures/realdata/blacksmith-fork-2015-head.csv");
const FRANKLIN: &str = include_str!("../fixtures/realdata/franklin-basin-2017-head.csv");
const NATIONAL: &str = "省份,流域,断面名称,监测时间,水质类别,水温(℃),pH(无量纲),溶解氧(mg/L),电导率(μS/cm),浊度(NTU),\
    高锰酸盐指数(mg/L),氨氮(mg/L),总磷(mg/L),总氮(mg/L),叶绿素α(mg/L),藻密度(cells/L),站点情况\n\
    湖南省,长江流域,吉家湖,2026-08-22 08:00,Ⅳ,28.6,8.12,6.5,312.4,22.1,6.4,0.35,0.118,1.84,0.025,1.2E7,正常\n\
    湖南省,长江流域,吉家湖,2026-08-22 12:00,--,--,*,--,--,--,--,--,--,--,--,--,维护\n";

fn now() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn preset(name: &str, station: Option<&str>) -> Options {
    Options {
        file_name: format!("{name}.csv"),
        map: ColumnMap::preset(name).unwrap(),
        station: station.map(Into::into),
        ..Default::default()
    }
}

fn plain(zone: Option<&str>, station: Option<&str>) -> Options {
    Options {
        file_name: "table.csv".into(),
        zone: zone.map(Into::into),
        station: station.map(Into::into),
        stations: vec![("JJH-S1".into(), "1号点".into())],
        ..Default::default()
    }
}

fn import(text: &str, options: Options) -> Import {
    Import::new(Table::from_bytes(text.into(), None).unwrap(), options, now()).unwrap()
}

fn refusal(text: &str, options: Options) -> String {
    Import::new(Table::from_bytes(text.into(), None).unwrap(), options, now()).unwrap_err().to_string()
}

fn observations(import: &Import) -> Vec<NewObservation> {
    import
        .rows()
        .flat_map(|row| {
            assert_eq!(row.errors, []);
            row.observations
        })
        .collect()
}

fn one<'a>(
    all: &'a [NewObservation],
    property: &str,
    processing: Processing,
    at: &str,
) -> &'a NewObservation {
    let at_ms = at.parse::<Timestamp>().unwrap().as_millisecond();
    let mut found =
        all.iter().filter(|o| o.property == property && o.processing == processing && o.at_ms == at_ms);
    let first = found.next().unwrap();
    assert!(found.next().is_none());
    first
}

async fn open(dir: &Path) -> Store {
    Store::open(dir, Opener::Tool, Clock::simulated(now())).await.unwrap()
}

async fn store_all(store: &Store, import: &Import, strict: bool) -> import_observations::Outcome {
    import_observations::run(store, import, strict, &ProgressBar::hidden()).await.unwrap()
}

#[test]
fn raw_marked_and_corrected_values_stand_beside_each_other() {
    let all = observations(&import(BLACKSMITH, preset("blacksmith", Some("BSF"))));
    assert_eq!(all.len(), 22 * 12);
    let at = "2015-09-05T18:00:00Z";
    let raw = one(&all, "wt", Processing::Raw, at);
    assert_eq!((raw.value.number, raw.value.as_received().as_str()), (None, "-9999"));
    assert_eq!((raw.mark.as_deref(), raw.station.as_str(), raw.unit.as_str()), (Some("1"), "BSF", "Cel"));
    let reviewed = one(&all, "wt", Processing::Reviewed, at);
    assert_eq!((reviewed.value.number, reviewed.mark.as_deref()), (Some(17.815), None));
    let stage = one(&all, "water_level", Processing::Raw, at);
    assert_eq!((stage.value.number, stage.value.as_received().as_str()), (Some(0.2312), "23.12 cm"));
    assert_eq!(stage.unit, "m");
    let marks = all.iter().filter(|o| o.mark.is_some());
    assert_eq!(marks.count(), BLACKSMITH.lines().skip(1).map(marks_of).sum::<usize>());
}

/// Every third cell after the time, where it is not NULL.
fn marks_of(line: &str) -> usize {
    line.split(',').skip(3).step_by(3).filter(|mark| *mark != "NULL").count()
}

#[test]
fn missing_is_kept_as_missing() {
    let all = observations(&import(FRANKLIN, preset("franklin", Some("FB"))));
    assert_eq!(all.len(), 15 * 4);
    let missing: Vec<_> = all
        .iter()
        .filter(|o| o.value.number.is_none())
        .map(|o| (o.property.as_str(), o.value.as_received()))
        .collect();
    assert_eq!(
        missing,
        [("do", "NULL"), ("wt", "-9999"), ("wt", "-9999"), ("wt", "-9999")].map(|(p, t)| (p, t.into()))
    );
    assert_eq!(one(&all, "do", Processing::Raw, "2017-01-01T07:15:00Z").value.number, Some(10.86));
}

#[test]
fn the_national_platform_pasted_in_gb_18030() {
    let options = || Options {
        stations: vec![("JJH-S1".into(), "吉家湖".into())],
        ..preset("national-platform", None)
    };
    let bytes = encoding_rs::GB18030.encode(NATIONAL).0.into_owned();
    let import = Import::new(Table::from_bytes(bytes, None).unwrap(), options(), now()).unwrap();
    let all = observations(&import);
    assert_eq!(all.len(), 2 * 11);
    let chla = one(&all, "chla", Processing::Raw, "2026-08-22T00:00:00Z");
    assert_eq!(
        (chla.value.number, chla.value.as_received().as_str(), chla.unit.as_str()),
        (Some(25.0), "0.025 mg/L", "ug/L")
    );
    assert_eq!(one(&all, "algae", Processing::Raw, "2026-08-22T00:00:00Z").value.number, Some(1.2e7));
    assert!(all[11..].iter().all(|o| o.value.number.is_none() && o.station == "JJH-S1"));
    let plan = import.plan().to_string();
    for part in [
        "gb18030，逗号分隔，2 行",
        "时区 +08（平台按北京时间）",
        "按「断面名称」列",
        "「叶绿素α(mg/L)」→ 叶绿素a μg/L（原始，mg/L × 10^3）",
        "不导入：省份、流域、水质类别、站点情况",
        "第 2 行 2026-08-22 08:00 北京时间 JJH-S1：水温 28.6",
        "pH 无数值(*)",
    ] {
        assert!(plan.contains(part), "{part}\n{plan}");
    }
}

#[test]
fn long_tables() {
    let text = "监测时间;点位（8月）;指标;数值;单位\n\
        2026/8/22 9:00;1号点;氨氮;<25;ug/L\n\
        2026/8/22 9:00;JJH-S1;电导率;2.25;mS/cm\n\
        2026/8/22 9:00;JJH-S1;火星度;1;\n\
        2026/8/22 9:00;9号点;pH;7;\n\
        2026/8/22 9:00;1号点;pH;酸;\n";
    let import = import(text, plain(Some("+08:00"), None));
    let rows: Vec<_> = import.rows().collect();
    let values: Vec<_> =
        rows.iter().flat_map(|r| &r.observations).map(|o| (o.value.number, o.value.as_received())).collect();
    assert_eq!(values, [(None, "<25 ug/L".into()), (Some(2250.0), "2.25 mS/cm".to_owned())]);
    let errors: Vec<_> = rows.iter().flat_map(|r| &r.errors).map(|e| (e.line, e.column.as_str())).collect();
    assert_eq!(errors, [(4, "指标"), (5, "点位（8月）"), (6, "数值")]);
}

#[test]
fn what_is_not_said_is_asked_for() {
    let table = "时间,溶解氧(mg/L)\n2026-08-22 09:00,6.5\n";
    assert!(refusal(table, plain(None, Some("JJH-S1"))).starts_with("--zone: "));
    assert!(refusal(table, plain(Some("+08:00"), None)).starts_with("--station: "));
    let own_zone = "时间,溶解氧(mg/L)\n2026-08-22T09:00:00+08:00,6.5\n";
    assert_eq!(observations(&import(own_zone, plain(None, Some("JJH-S1")))).len(), 1);
    for (heading, field) in [
        ("透明度", "透明度: "),
        ("溶解氧(ppb)", "溶解氧(ppb): "),
        ("DO(mg/L),溶解氧(mg/L)", "溶解氧(mg/L): "),
    ] {
        let text = format!("时间,{heading}\n2026-08-22 09:00,1,1\n");
        let e = refusal(&text, plain(Some("+08:00"), Some("JJH-S1")));
        assert!(e.starts_with(field), "{e}");
    }
    assert!(refusal("时间,备注\n", plain(Some("+08:00"), Some("S"))).contains("--map"));
}

#[test]
fn a_map_of_the_office() {
    let map = ColumnMap::parse(
        "zone = \"+08:00\"\nstation = \"名\"\n[stations]\n\"东湾\" = \"JJH-S9\"\n[[column]]\nheading = \"SD1\"\nproperty = \"sd\"\nunit = \"m\"",
        "map.toml",
    )
    .unwrap();
    let text = "时间,名,SD1\n2026-08-22 09:00,东湾,0.45\n";
    let all = observations(&import(text, Options { map: map.clone(), ..plain(None, None) }));
    assert_eq!((all[0].station.as_str(), all[0].value.number), ("JJH-S9", Some(45.0)));
    assert!(
        refusal("时间,名,SD2\n", Options { map, ..plain(None, None) }).starts_with("SD1: no such column")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_adds_nothing_and_a_changed_value_is_a_correction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let first = import(BLACKSMITH, preset("blacksmith", Some("BSF")));
    let outcome = store_all(&store, &first, false).await;
    assert_eq!((outcome.rows, outcome.added, outcome.known, outcome.error_count), (22, 264, 0, 0));
    let size = store.log_head().await.unwrap().size;
    let again = store_all(&store, &first, false).await;
    assert_eq!((again.added, again.known, again.corrections), (0, 264, 0));
    assert_eq!(store.log_head().await.unwrap().size, size);
    let changed = BLACKSMITH.replace("\n2015-08-20 12:00:00.000,18.85,", "\n2015-08-20 12:00:00.000,18.86,");
    let third = store_all(&store, &import(&changed, preset("blacksmith", Some("BSF"))), false).await;
    assert_eq!((third.added, third.known, third.corrections), (1, 263, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_costs_only_itself_unless_strict() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let text = "时间,溶解氧(mg/L),pH\n2026-08-22 09:00,6.5,7.1\n2026-08-22,6.5,7.1\n\n2026-08-22 10:00,六点五,7.2\n2026-08-22 11:00\n2026-08-22 12:00,6.6,Infinity\n";
    let import = import(text, plain(Some("+08:00"), Some("JJH-S1")));
    let size = store.log_head().await.unwrap().size;
    let strict = store_all(&store, &import, true).await;
    assert_eq!((strict.added, strict.error_count, store.log_head().await.unwrap().size), (0, 4, size));
    let outcome = store_all(&store, &import, false).await;
    assert_eq!((outcome.rows, outcome.added, outcome.error_count), (5, 4, 4));
    let at: Vec<_> = outcome.errors.iter().map(|e| (e.line, e.column.as_str())).collect();
    assert_eq!(at, [(3, "时间"), (5, "溶解氧(mg/L)"), (6, ""), (7, "pH")]);
    assert_eq!(import.check().errors, outcome.errors);
}

fn place() -> Place {
    let ring = LineString::from(vec![
        (113.10, 29.39),
        (113.12, 29.39),
        (113.12, 29.41),
        (113.10, 29.41),
        (113.10, 29.39),
    ]);
    Place {
        name: "试验湖".into(),
        notice: "示意".into(),
        hash: [7; 32],
        lake: MultiPolygon::new(vec![Polygon::new(ring, vec![])]),
        neighbourhood_m: 3_000.0,
        match_m: 30.0,
        waypoint_m: 30.0,
        waypoints: vec![],
        sectors: vec![],
        outfalls: vec![Outfall {
            code: "JJH-PK-0001".into(),
            name: "1号排口".into(),
            kind: String::new(),
            position: Wgs84 { lng: 113.10, lat: 29.40 },
            official_codes: vec![],
            unit: None,
            sector: None,
        }],
        units: vec![],
        stations: vec![],
        windows: vec![],
    }
}

const REPORTS: &str = "编号,发现时间,问题类型,经度,纬度,坐标系,精度,描述,巡查人,是否有水流,颜色,颜色程度,天气\n\
    1,2026-07-14 05:20,旱天排水,113.1001,29.4,WGS84,8,出水浑浊,李某,中,灰,2,晴\n\
    2,2026-07-14 06:20,无异常,,,,,,李某,,,,\n\
    3,2026-07-14 07:20,水葫芦,29.4,113.1001,WGS84,8,,李某,,,,\n\
    4,2026-07-14 08:20,污水,113.1001,29.4,,8,,李某,,,,\n\
    5,2026-07-14 09:20,污水,113.1001,29.4,WGS84,8,,李某,小,灰,5,\n";

#[tokio::test(flavor = "multi_thread")]
async fn reports_go_through_the_door_and_a_second_run_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (place, options) =
        (place(), import_reports::Options { zone: Some("+08:00".into()), ..Default::default() });
    let locator = Locator::new(&place);
    let mut receipts = Vec::new();
    for round in 0..2 {
        let bytes = encoding_rs::GB18030.encode(REPORTS).0.into_owned();
        let import = import_reports::Import::new(bytes, &options, now()).unwrap();
        assert!(import.ignored.is_empty());
        let door = async |body: Vec<u8>| {
            let arrival = Arrival { received_at: now(), sent_at: None, place: &place, locator: &locator };
            store.add_report(parse_report(&body, &arrival)?).await
        };
        let outcome = import_reports::run(&import, false, &ProgressBar::hidden(), door).await.unwrap();
        let at: Vec<_> = outcome.errors.iter().map(|e| (e.line, e.column.as_str())).collect();
        assert_eq!(at, [(4, "纬度"), (5, "坐标系"), (6, "颜色程度")], "{:?}", outcome.errors);
        assert!(outcome.receipts.iter().all(|(_, added)| added.new == (round == 0)));
        receipts.push(
            outcome.receipts.into_iter().map(|(line, added)| (line, added.receipt)).collect::<Vec<_>>(),
        );
    }
    assert_eq!(receipts[0].len(), 2);
    assert_eq!(receipts[0], receipts[1]);
}

/// The same table as a workbook gives the same bodies, byte for byte, and the same errors in the same rows.
#[test]
fn a_workbook_says_what_the_table_says() {
    let options = import_reports::Options { zone: Some("+08:00".into()), ..Default::default() };
    let mut book = rust_xlsxwriter::Workbook::new();
    book.add_worksheet().set_name("说明").unwrap().write(0, 0, "见下一表").unwrap();
    let sheet = book.add_worksheet().set_name("台账").unwrap();
    for (r, line) in (0..).zip(REPORTS.lines()) {
        for (c, cell) in (0..).zip(line.split(',')) {
            match cell.parse::<f64>() {
                Ok(number) => sheet.write(r, c, number).unwrap(),
                Err(_) => sheet.write(r, c, cell).unwrap(),
            };
        }
    }
    let book = book.save_to_buffer().unwrap();
    let said = |bytes: Vec<u8>, sheet: Option<&str>| {
        let options = import_reports::Options { sheet: sheet.map(str::to_owned), ..options.clone() };
        import_reports::Import::new(bytes, &options, now()).map(|i| i.bodies().collect::<Vec<_>>())
    };
    let (table, workbook) = (said(REPORTS.into(), None).unwrap(), said(book.clone(), Some("台账")).unwrap());
    assert_eq!(table.iter().filter(|row| row.is_err()).count(), 1, "a row without a reference system");
    assert_eq!(table, workbook);
    let first = said(book, None).unwrap_err().to_string();
    assert!(first.contains("observed_at: no column for it; there are: 见下一表"), "{first}");
}

#[tokio::test]
async fn geojson_points_and_patches() {
    let text = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","geometry":{"type":"Point","coordinates":[113.1001,29.4]},
         "properties":{"时间":"2026-07-14T05:20:00+08:00","类型":"污水","精度":8}},
        {"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[113.10,29.40],[113.102,29.40],[113.102,29.402],[113.10,29.402],[113.10,29.40]]]},
         "properties":{"时间":"2026-07-14T05:20:00+08:00","类型":"水葫芦","盖度":"85%","长势":"成片","颜料":"x"}},
        {"type":"Feature","geometry":{"type":"LineString","coordinates":[[1,2],[3,4]]},"properties":{}}]}"#;
    let options = import_reports::Options { crs: Some("GCJ-02".into()), ..Default::default() };
    let import = import_reports::Import::new(text.into(), &options, now()).unwrap();
    assert_eq!(import.ignored, ["颜料"]);
    let place = place();
    let locator = Locator::new(&place);
    let arrival = Arrival { received_at: now(), sent_at: None, place: &place, locator: &locator };
    let door = async |body: Vec<u8>| parse_report(&body, &arrival);
    let outcome = import_reports::run(&import, false, &ProgressBar::hidden(), door).await.unwrap();
    assert_eq!(outcome.errors.len(), 1);
    assert!(outcome.errors[0].message.contains("LineString"));
    let patch = &outcome.receipts[1].1.record;
    let hyacinth = patch.hyacinth.as_ref().unwrap();
    assert_eq!((hyacinth.cover_pct, hyacinth.polygon.as_ref().unwrap().len()), (Some(85.0), 5));
    let position = patch.position.as_ref().unwrap();
    assert!((position.lng - 113.101).abs() < 1e-9 && (position.lat - 29.401).abs() < 1e-9);
    let strict = import_reports::run(&import, true, &ProgressBar::hidden(), async |_| Ok(())).await.unwrap();
    assert_eq!((strict.receipts.len(), strict.errors.len()), (0, 1));
}
