//! One row of a table of reports as the JSON body that a phone would post. Headings: `config/report_aliases.csv`.
//! Only the words are translated here; what a report may say is judged at the door.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use jiff::{Timestamp, tz::Offset};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::coordinate::{CRS_WORDS, crs, degrees, number};
use super::local_time;
use crate::patrol::form::{AreaMethod, Colour, Floatable, Flow, Growth, MU_M2, Odour, Turbidity};
use crate::water::property::fold;

/// Namespace of the ids of rows that have none: the same row gets the same id in every run.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f0d_6c52_31b7_5b0e_9a44_6a69_6a69_6100);

/// A column that reports know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Place in the body, or a word that `body` knows.
    key: String,
    form: String,
}

/// A cell of a known column.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub column: &'static Column,
    pub heading: String,
    pub text: String,
}

/// What the command line says for all rows.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub crs: Option<String>,
    pub zone: Option<Offset>,
    pub now: Timestamp,
}

/// A bad cell: key of its column and what was found.
pub(super) type CellError = (String, String);

static COLUMNS: LazyLock<HashMap<String, Column>> = LazyLock::new(|| {
    let table = include_str!("../../config/report_aliases.csv");
    let mut columns = HashMap::new();
    // A row of the embedded table that cannot be read would be seen by the test that counts them.
    for row in csv::Reader::from_reader(table.as_bytes()).records().flatten() {
        let column = Column { key: row[0].to_owned(), form: row[1].to_owned() };
        columns.extend(row[2].split('|').chain([&row[0]]).map(|name| (fold(name), column.clone())));
    }
    columns
});

/// Finds the column that a heading means.
pub(super) fn column(heading: &str) -> Option<&'static Column> {
    COLUMNS.get(&fold(heading))
}

/// The column of a key; a heading that means it is not enough.
pub(super) fn keyed(key: &str) -> Option<&'static Column> {
    column(key).filter(|c| c.is(key))
}

/// The keys of all columns, in order.
pub(super) fn keys() -> Vec<&'static str> {
    let keys: BTreeSet<&str> = COLUMNS.values().map(|c| c.key.as_str()).collect();
    keys.into_iter().collect()
}

impl Column {
    pub fn is(&self, key: &str) -> bool {
        self.key == key
    }
}

/// The body of a row, byte for byte the same in every run.
pub(super) fn body(
    cells: &[Cell],
    ring: Option<&[[f64; 2]]>,
    defaults: &Defaults,
) -> Result<Vec<u8>, CellError> {
    let cells: Vec<&Cell> = cells.iter().filter(|c| !c.text.trim().is_empty()).collect();
    let text = |key: &str| cells.iter().find(|c| c.column.is(key)).map(|c| c.text.trim());
    let mut body = Map::new();
    let given_id = text("id");
    let id = given_id.and_then(|id| id.parse().ok()).unwrap_or_else(|| id_of(&cells, ring));
    body.insert("id".into(), json!(id));
    body.insert("observed_at".into(), observed_at(text("observed_at"), defaults)?.into());
    let mut notes = Vec::new();
    // A number that is no UUID is not lost.
    notes.extend(given_id.filter(|id| id.parse::<Uuid>().is_err()).map(|id| format!("编号：{id}")));
    let (kind, other_word) = kind(text("kind"))?;
    body.insert("kind".into(), kind.into());
    notes.extend(other_word.map(|word| format!("类型：{word}")));
    notes.extend(text("place").map(|place| format!("位置：{place}")));
    notes.extend(text("note").map(str::to_owned));
    if !notes.is_empty() {
        body.insert("note".into(), notes.join("\n").into());
    }
    body.extend(position(&cells, &text, defaults)?);
    let mut person = json!({"id": text("person_id").unwrap_or("import")});
    if let Some(name) = text("person_name") {
        person["name"] = name.into();
    }
    body.insert("person".into(), person);
    for key in ["outfall", "photos"] {
        if let Some(cell) = cells.iter().find(|c| c.column.is(key)) {
            body.insert(key.into(), value(cell)?);
        }
    }
    body.extend(forms(&cells, ring)?);
    serde_json::to_vec(&body).map_err(|e| (String::new(), e.to_string()))
}

/// UUIDv5 over the known cells in the order of their keys: neither the order of the columns nor one more of them
/// changes it.
fn id_of(cells: &[&Cell], ring: Option<&[[f64; 2]]>) -> Uuid {
    let mut content: Vec<(&str, &str)> =
        cells.iter().map(|c| (c.column.key.as_str(), c.text.trim())).collect();
    content.sort_unstable();
    Uuid::new_v5(&NAMESPACE, json!([content, ring]).to_string().as_bytes())
}

fn observed_at(text: Option<&str>, defaults: &Defaults) -> Result<String, CellError> {
    let blame = |message: String| ("observed_at".to_owned(), message);
    let text = text.ok_or_else(|| blame("empty; the time of the sighting is needed".into()))?;
    let at = local_time::instant(text, defaults.zone, None, defaults.now).map_err(blame)?;
    Ok(at.display_with_offset(defaults.zone.unwrap_or(Offset::UTC)).to_string())
}

/// The kind, and the word of the table where it says more than the kind.
fn kind(text: Option<&str>) -> Result<(&'static str, Option<&str>), CellError> {
    let text = text.unwrap_or_default();
    Ok(match text {
        "sewage_outflow" | "污水直排" | "污水" => ("sewage_outflow", None),
        "污水溢流" | "旱天排水" => ("sewage_outflow", Some(text)),
        // Misconnection is a finding, not something seen to flow.
        "雨污混接" => ("other", Some(text)),
        "water_hyacinth" | "水葫芦" => ("water_hyacinth", None),
        "凤眼莲" | "凤眼蓝" => ("water_hyacinth", Some(text)),
        "other" | "其他" => ("other", None),
        "垃圾" => ("other", Some(text)),
        "nothing_found" | "走过无异常" | "无异常" | "正常" => ("nothing_found", None),
        _ => {
            let message = format!(
                "`{text}`; allowed: 污水直排, 污水溢流, 旱天排水, 雨污混接, 水葫芦, 垃圾, 其他, 走过无异常, or \
                 sewage_outflow, water_hyacinth, other, nothing_found"
            );
            return Err(("kind".into(), message));
        }
    })
}

/// The position with its reference system, which is never guessed; or the reason for none.
fn position<'a>(
    cells: &[&Cell],
    text: &impl Fn(&str) -> Option<&'a str>,
    defaults: &Defaults,
) -> Result<Option<(String, Value)>, CellError> {
    let number = |key: &str| cells.iter().find(|c| c.column.is(key)).map(|c| value(c)).transpose();
    let (lng, lat) = match (number("lng")?, number("lat")?) {
        (Some(lng), Some(lat)) => (lng, lat),
        (None, None) => {
            let reason = text("no_position").unwrap_or("导入的记录没有坐标");
            return Ok(Some(("no_position".into(), reason.into())));
        }
        (None, _) => return Err(("lng".into(), "empty, but the latitude is given".into())),
        (_, None) => return Err(("lat".into(), "empty, but the longitude is given".into())),
    };
    let crs = match text("crs") {
        Some(word) => {
            crs(word).ok_or_else(|| ("crs".to_owned(), format!("`{word}`; allowed: {CRS_WORDS}")))?.to_owned()
        }
        None => defaults.crs.clone().ok_or_else(|| {
            ("crs".to_owned(), format!("not given; a column 坐标系, or --crs with one of {CRS_WORDS}"))
        })?,
    };
    let mut position = json!({"lng": lng, "lat": lat, "crs": crs, "source": "imported"});
    if let Some(accuracy) = number("accuracy_m")? {
        position["accuracy_m"] = accuracy;
    }
    Ok(Some(("position".into(), position)))
}

/// The forms `sewage` and `hyacinth` from the columns whose keys name them.
fn forms(cells: &[&Cell], ring: Option<&[[f64; 2]]>) -> Result<Map<String, Value>, CellError> {
    let mut forms: Map<String, Value> = Map::new();
    let mut set = |form: &str, field: &str, value: Value| {
        forms.entry(form).or_insert_with(|| json!({}))[field] = value;
    };
    let text = |key: &str| cells.iter().find(|c| c.column.is(key)).map(|c| c.text.trim());
    let mut rapid = Vec::new();
    for cell in cells {
        let Some((form, field)) = cell.column.key.split_once('.') else { continue };
        match field.strip_prefix("rapid.") {
            Some(property) => rapid.push(json!({
                "property": property, "value": value(cell)?,
                "kit": text("rapid_kit").unwrap_or("未注明"), "lot": text("rapid_lot").unwrap_or_default(),
            })),
            None if field == "area_mu" => {
                let area_m2 = value(cell)?.as_f64().map(|mu| (mu * MU_M2 * 100.0).round() / 100.0);
                set(form, "area_m2", json!(area_m2));
            }
            None => set(form, field, value(cell)?),
        }
    }
    if !rapid.is_empty() {
        set("sewage", "rapid", rapid.into());
    }
    if let Some(ring) = ring {
        set("hyacinth", "polygon", json!(ring));
    }
    Ok(forms)
}

/// A cell as the JSON value that its column takes.
fn value(cell: &Cell) -> Result<Value, CellError> {
    let (text, key) = (cell.text.trim(), cell.column.key.as_str());
    let wrong = |allowed: &str| (key.to_owned(), format!("`{text}`; allowed: {allowed}"));
    match cell.column.form.as_str() {
        "number" => number(text).map(Value::from).ok_or_else(|| wrong("a number such as 12.5")),
        "integer" => text.parse::<u32>().map(Value::from).map_err(|_| wrong("a whole number from 0")),
        "degrees" => {
            degrees(text).map(Value::from).ok_or_else(|| wrong("113.1182, 113°7′5.5″ or 113度7分5.5秒"))
        }
        "word" => word(key, text).map(Value::from).map_err(|allowed| wrong(&allowed)),
        "words" => parts(text).map(|part| word(key, part).map_err(|allowed| wrong(&allowed))).collect(),
        "bool" => match text {
            "是" | "有" | "true" => Ok(true.into()),
            "否" | "无" | "false" => Ok(false.into()),
            _ => Err(wrong("是, 否")),
        },
        "hashes" => Ok(parts(text).map(str::to_ascii_lowercase).collect()),
        _ => Ok(text.into()),
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '，', '、', ';', '；', '/', '|', ' ', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// The word of the API for a word of the paper form; else the words that are allowed.
fn word(key: &str, text: &str) -> Result<&'static str, String> {
    macro_rules! of {
        ($words:ty) => {
            <$words>::find(text)
                .map(<$words>::as_str)
                .ok_or_else(|| <$words>::ALL.iter().map(|w| w.zh()).collect::<Vec<_>>().join(", "))
        };
    }
    match key {
        "sewage.flow" => of!(Flow),
        "sewage.colour" => of!(Colour),
        "sewage.odour" => of!(Odour),
        "sewage.turbidity" => of!(Turbidity),
        "sewage.floatables" => of!(Floatable),
        "hyacinth.area_method" => of!(AreaMethod),
        "hyacinth.growth" => of!(Growth),
        _ => Err(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(pairs: &[(&str, &str)]) -> Vec<Cell> {
        let cell = |(heading, text): &(&str, &str)| Cell {
            column: column(heading).unwrap_or_else(|| panic!("{heading}")),
            heading: (*heading).into(),
            text: (*text).into(),
        };
        pairs.iter().map(cell).collect()
    }

    fn defaults() -> Defaults {
        Defaults {
            crs: Some("gcj02".into()),
            zone: Some(Offset::constant(8)),
            now: "2026-11-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn json(pairs: &[(&str, &str)]) -> Value {
        serde_json::from_slice(&body(&cells(pairs), None, &defaults()).unwrap()).unwrap()
    }

    fn error(pairs: &[(&str, &str)]) -> CellError {
        body(&cells(pairs), None, &defaults()).unwrap_err()
    }

    #[test]
    fn every_word_column_has_its_words() {
        let table = include_str!("../../config/report_aliases.csv");
        let mut rows = 0;
        for row in csv::Reader::from_reader(table.as_bytes()).records().map(Result::unwrap) {
            assert!(row[2].split('|').all(|name| column(name).is_some_and(|c| c.is(&row[0]))), "{row:?}");
            let of_words = row[1].starts_with("word");
            assert!(!of_words || word(&row[0], "?").is_err_and(|allowed| !allowed.is_empty()), "{row:?}");
            rows += 1;
        }
        assert_eq!(rows, 48);
        assert_eq!(word("hyacinth.growth", "封面"), Ok("full_cover"));
        assert!(word("sewage.odour", "香").unwrap_err().contains("臭鸡蛋"));
    }

    #[test]
    fn a_row_of_the_paper_form() {
        let row = json(&[
            ("问题编号", "JJH-WT-2026-0001"),
            ("发现时间", "2026/7/14 5:20"),
            ("问题类型", "旱天排水"),
            ("经度", "113度7分12秒"),
            ("纬度", "29.4012"),
            ("精度", "8"),
            ("巡查人", "李某"),
            ("问题描述", "排口出水浑浊"),
            ("是否有水流", "中"),
            ("颜色", "灰"),
            ("颜色程度", "2"),
            ("漂浮物", "泡沫、卫生纸"),
            ("快检氨氮", "8.5"),
            ("试剂盒", "比色管"),
        ]);
        let id = row["id"].as_str().unwrap();
        assert_eq!(
            row,
            json!({
                "id": id, "kind": "sewage_outflow", "observed_at": "2026-07-14T05:20:00+08:00",
                "position": {"lng": 113.12, "lat": 29.4012, "crs": "gcj02", "source": "imported", "accuracy_m": 8.0},
                "person": {"id": "import", "name": "李某"},
                "note": "编号：JJH-WT-2026-0001\n类型：旱天排水\n排口出水浑浊",
                "sewage": {
                    "flow": "medium", "colour": "grey", "severity_colour": 2, "floatables": ["foam", "toilet_paper"],
                    "rapid": [{"property": "nh3n", "value": 8.5, "kit": "比色管", "lot": ""}]
                }
            })
        );
        let form: crate::patrol::form::SewageForm = serde_json::from_value(row["sewage"].clone()).unwrap();
        form.check().unwrap();
    }

    #[test]
    fn the_id_is_the_content() {
        let a = [("发现时间", "2026-07-14 05:20"), ("类型", "水葫芦"), ("面积(亩)", "2")];
        let b = [a[2], ("备注", " "), a[0], a[1]];
        assert_eq!(json(&a)["id"], json(&b)["id"]);
        assert_eq!(body(&cells(&a), None, &defaults()), body(&cells(&b), None, &defaults()));
        let c = [a[0], a[1], ("面积(亩)", "1.6")];
        assert_ne!(json(&a)["id"], json(&c)["id"]);
        assert_eq!(json(&a)["hyacinth"]["area_m2"], 1333.34);
        assert_eq!(json(&a)["no_position"], "导入的记录没有坐标");
        let given = "7d9f2e7c-5c11-4b6e-9f0e-0c6a1a2b3c4d";
        assert_eq!(json(&[a[0], a[1], ("编号", given)])["id"], given);
    }

    #[test]
    fn errors_name_the_column() {
        let (time, kind, lng, lat) =
            (("时间", "2026-07-14 05:20"), ("类型", "污水"), ("经度", "113.1"), ("纬度", "29.4"));
        for (pairs, key) in [
            (&[kind][..], "observed_at"),
            (&[time, ("类型", "火灾")], "kind"),
            (&[time, kind, lng], "lat"),
            (&[time, kind, lng, ("纬度", "二十九")], "lat"),
            (&[time, kind, lng, lat, ("坐标系", "北京54")], "crs"),
            (&[time, kind, ("气味", "香")], "sewage.odour"),
            (&[time, kind, ("颜色程度", "-1")], "sewage.severity_colour"),
            (&[time, kind, ("估算流量", "NaN")], "sewage.flow_l_s"),
        ] {
            assert_eq!(error(pairs).0, key);
        }
        let no_crs = Defaults { crs: None, ..defaults() };
        assert!(body(&cells(&[time, kind, lng, lat]), None, &no_crs).unwrap_err().1.contains("--crs"));
        assert!(body(&cells(&[time, kind, lng, lat, ("坐标系", "GCJ-02")]), None, &no_crs).is_ok());
    }
}
