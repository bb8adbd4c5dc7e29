//! The meeting brief: its words, tables and plates, without any layout. A working paper (材料), not an official
//! document: no red head, no number, no seal. Numbers in running text come from [`Summary`] only.

mod about;

use self::about::about;
pub(crate) use self::about::notes;
use crate::casework::EvidenceLevel;
use crate::clock::{beijing, beijing_words};
use crate::document::plates::{MAX_PLATES, Plate, Plates};
use crate::document::words;
use crate::evidence::timeline::{Gap, Row, Sighting, Summary, Timeline};
use crate::patrol::ReportKind;

/// Rows a table of the brief holds; the Excel ledger has all.
pub const MAX_ROWS: usize = 300;

/// What the brief says, in reading order.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// `吉家湖 3号排口 证据时间线`.
    pub title: String,
    /// Under the title, in brackets: what paper it is and its cut-off.
    pub subtitle: String,
    /// The mark for every page, `演示数据`, of a demo data directory.
    pub mark: Option<String>,
    /// The paragraph before the first heading.
    pub lead: String,
    /// 一、 to 五、.
    pub sections: Vec<Section>,
    /// The cut-off's day for the end of the paper, `2026年9月10日`.
    pub date: String,
}

/// A numbered section.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// `一、概况`.
    pub heading: String,
    /// What stands under it.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// `（一）未巡查与传感器静默`.
    Heading(String),
    /// Running text, first line indented by two characters.
    Paragraph(String),
    /// A table with a repeating head.
    Table(Table),
    /// The drawn map, with its caption.
    Map(String),
    /// The drawn chart, with its caption.
    Chart(String),
    /// Photos, two in a row.
    Plates(Vec<Plate>),
    /// A text as a QR code, with its caption.
    Code {
        /// What is read out of it.
        text: String,
        /// Under it.
        caption: String,
    },
}

/// A table of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// `表1 发现记录`.
    pub caption: String,
    /// Head and width of each column; the widths add up to 1000.
    pub columns: Vec<Column>,
    /// Cells as columns; `\n` starts a new line.
    pub rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// Its share of the type area's width, in thousandths.
    pub permille: u32,
}

impl Brief {
    /// The brief of a timeline. Pure: the same timeline gives the same brief.
    #[must_use]
    pub fn new(timeline: &Timeline) -> Self {
        let sightings: Vec<&Sighting> = timeline.rows.iter().filter_map(sighting).collect();
        let plates = Plates::choose(&sightings);
        Self {
            title: Self::title(timeline),
            subtitle: format!("（工作材料，数据截至{}，北京时间）", words::minute(timeline.cut_off)),
            mark: timeline.demo.then(|| "演示数据".to_owned()),
            lead: lead(timeline),
            sections: vec![
                overview(timeline),
                records(timeline, &sightings, &plates),
                photos(timeline, &plates),
                gaps(timeline),
                about(timeline),
            ],
            date: words::day(timeline.cut_off),
        }
    }

    /// `吉家湖 3号排口 证据时间线`.
    pub(crate) fn title(timeline: &Timeline) -> String {
        let subject = timeline.subject.split('（').next().unwrap_or_default();
        format!("{} {subject} 证据时间线", timeline.place)
    }
}

/// A sighting; "nothing found" is counted, not listed.
fn sighting(row: &Row) -> Option<&Sighting> {
    match row {
        Row::Sighting(s) if s.kind != ReportKind::NothingFound => Some(s),
        _ => None,
    }
}

fn lead(timeline: &Timeline) -> String {
    let n = &timeline.summary;
    let period = words::period(&timeline.filter, timeline.cut_off);
    let head = format!("{period}，{}{}", timeline.place, timeline.subject);
    if n.sightings == 0 {
        return format!("{head}没有收到发现上报。没有上报不等于没有问题，未巡查的时段见第四部分。");
    }
    let mut text = format!("{head}共记录发现{}次，其中污水直排{}次", n.sightings, n.outflows);
    if n.hyacinth > 0 {
        text += &format!("、水葫芦{}次", n.hyacinth);
    }
    text += "。";
    if n.outflows > 0 {
        text += &format!("见到排水的日子：旱天{}天，雨天{}天", n.dry_flow_days, n.wet_flow_days);
        if n.unknown_flow_days > 0 {
            text += &format!("，降雨未知{}天（不按旱天计）", n.unknown_flow_days);
        }
        text += "。";
        if let Some(words) = levels(n) {
            text += &format!("按证据等级，{words}。");
        }
    }
    text + "以上为现场所见，管网是否存在错接须经检测或溯源确认，本材料不作认定。"
}

/// `E2（疑似污水混入）9次，E1（旱天有水流出）20次`, highest first, only what there is.
fn levels(n: &Summary) -> Option<String> {
    let counted: Vec<String> = [EvidenceLevel::E2, EvidenceLevel::E1, EvidenceLevel::E0]
        .into_iter()
        .zip(n.levels.iter().rev())
        .filter(|(_, count)| **count > 0)
        .map(|(level, count)| format!("{}（{}）{count}次", words::level_code(level), level.wording()))
        .collect();
    (!counted.is_empty()).then(|| counted.join("，"))
}

fn overview(timeline: &Timeline) -> Section {
    let n = &timeline.summary;
    let mut blocks = vec![Block::Paragraph(format!(
        "本材料汇总{}的巡查上报、现场照片、附近监测点数据和降雨，供联席会议研究使用。筛选条件：{}。",
        timeline.subject, timeline.filter_words
    ))];
    let mut walked = format!("巡查走过无异常{}次；", n.nothing_found);
    walked += &if n.gaps > 0 {
        format!("未巡查或传感器静默的时段{}个，这些时段情况不明，不按无异常计。", n.gaps)
    } else {
        no_gaps(timeline, "期间没有未巡查或传感器静默的时段。")
    };
    blocks.push(Block::Paragraph(walked));
    let mut photos = format!("已封存现场照片{}张", n.photos);
    if n.photos_missing > 0 {
        photos += &format!("，另有{}张上报时登记、原件尚未收到", n.photos_missing);
    }
    blocks.push(Block::Paragraph(photos + "。"));
    let notice = words::notice(&timeline.place_notice);
    let notice = if notice.is_empty() { notice } else { format!("（{notice}）") };
    blocks.push(Block::Map(format!("图1 位置图{notice}")));
    blocks.push(Block::Chart("图2 监测数据与逐日降雨（北京时间，原始值，未审核）".to_owned()));
    Section { heading: "一、概况".to_owned(), blocks }
}

fn column(head: &'static str, permille: u32) -> Column {
    Column { head, permille }
}

const RECORDS_NOTE: &str = "天气后为发现前累计雨量；现场情况含表单记载、备注和附近监测点1小时内的原始值（括号内为距离、时间）；\
                            条目为存证日志序号；已撤回的只列出，不计数。";

fn records(timeline: &Timeline, sightings: &[&Sighting], plates: &Plates) -> Section {
    // The outfall that the whole brief is about need not stand in every row.
    let one_place = timeline.filter.outfall.is_some();
    let (kind, seen) = if one_place {
        (column("类型", 80), column("现场情况", 445))
    } else {
        (column("类型与地点", 150), column("现场情况", 375))
    };
    let columns = vec![
        column("序号", 55),
        column("时间", 125),
        kind,
        column("天气与等级", 150),
        seen,
        column("照片", 60),
        column("条目", 85),
    ];
    let year = |s: &Sighting| beijing(s.observed_at).year();
    let one_year = sightings.iter().all(|s| year(s) == year(sightings[0]));
    let row = |(i, s): (usize, &&Sighting)| record(i + 1, s, one_place, one_year, plates);
    let rows = sightings.iter().take(MAX_ROWS).enumerate().map(row).collect();
    let mut blocks = if sightings.is_empty() {
        vec![Block::Paragraph("没有发现记录。".to_owned())]
    } else {
        let caption = "表1 发现记录（按时间先后）".to_owned();
        vec![Block::Paragraph(RECORDS_NOTE.to_owned()), Block::Table(Table { caption, columns, rows })]
    };
    if sightings.len() > MAX_ROWS {
        blocks.push(Block::Paragraph(format!("本表列前{MAX_ROWS}条，全部记录见Excel台账。")));
    }
    Section { heading: "二、发现记录".to_owned(), blocks }
}

fn record(number: usize, s: &Sighting, one_place: bool, one_year: bool, plates: &Plates) -> Vec<String> {
    let mut kind = vec![s.kind.zh().to_owned()];
    if !one_place {
        kind.push(words::place(s));
        kind.extend(s.unit.iter().map(|unit| unit.name.clone()));
    }
    if s.position.is_none() {
        kind.push(words::position_or_reason(s));
    }
    let mut weather = vec![words::weather(s)];
    weather.extend(s.level.map(|level| words::level_code(level).to_owned()));
    weather.extend(Some(words::level(s).to_owned()).filter(|level| !level.is_empty()));
    vec![
        number.to_string(),
        when(s, one_year),
        kind.join("\n"),
        weather.join("\n"),
        seen(s),
        plates.numbers_of(s),
        s.entry.index.to_string(),
    ]
}

/// `7月14日` over `05:20`; the year too where the rows are of several.
fn when(s: &Sighting, one_year: bool) -> String {
    let words = beijing_words(s.observed_at).replace(' ', "\n");
    if one_year { words } else { format!("{}年\n{words}", beijing(s.observed_at).year()) }
}

/// Facts, note, values nearby, and what became of the report.
fn seen(s: &Sighting) -> String {
    const VALUES: usize = 4;
    let mut lines = vec![words::facts(s)];
    lines.extend(s.note.iter().map(|note| format!("备注：{}", note.replace('\n', " "))));
    if !s.readings.is_empty() {
        let shown = &s.readings[..s.readings.len().min(VALUES)];
        let rest = if s.readings.len() > VALUES { "等，全部见Excel台账" } else { "" };
        lines.push(words::readings(shown).join("；") + rest);
    }
    lines.extend(words::remarks(s));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn photos(timeline: &Timeline, plates: &Plates) -> Section {
    let heading = "三、照片".to_owned();
    if plates.plates.is_empty() {
        return Section { heading, blocks: vec![Block::Paragraph("没有现场照片。".to_owned())] };
    }
    let mut text = "照片为去除附加信息的副本，原件按字节封存；时间为北京时间，位置为WGS-84坐标，哈希为原件SHA-256的前8位，\
                    条目为其上报在存证日志中的序号。"
        .to_owned();
    if !plates.all {
        let stored = timeline.summary.photos;
        text += &format!("照片共{stored}张，此处按证据等级选列{MAX_PLATES}张，其余见Excel台账。");
    }
    Section { heading, blocks: vec![Block::Paragraph(text), Block::Plates(plates.plates.clone())] }
}

/// Nothing is denied that was not looked for.
fn no_gaps(timeline: &Timeline, none: &str) -> String {
    match timeline.filter.patrol {
        Some(_) => "本材料只涉及一次巡查，未检查其他时段是否巡查、传感器是否静默。".to_owned(),
        None => none.to_owned(),
    }
}

fn gaps(timeline: &Timeline) -> Section {
    let gaps: Vec<&Gap> = timeline
        .rows
        .iter()
        .filter_map(|row| if let Row::Gap(gap) = row { Some(gap) } else { None })
        .collect();
    let mut blocks = vec![Block::Heading("（一）未巡查与传感器静默".to_owned())];
    if gaps.is_empty() {
        blocks.push(Block::Paragraph(no_gaps(timeline, "没有未巡查或传感器静默的时段。")));
    } else {
        blocks.push(Block::Table(gap_table(&gaps, timeline)));
    }
    if gaps.len() > MAX_ROWS {
        blocks.push(Block::Paragraph(format!("本表列前{MAX_ROWS}条，全部时段见Excel台账。")));
    }
    blocks.push(Block::Heading("（二）尚不清楚的情况".to_owned()));
    blocks.extend(unknowns(&timeline.summary).into_iter().map(Block::Paragraph));
    Section { heading: "四、缺口与说明".to_owned(), blocks }
}

fn gap_table(gaps: &[&Gap], timeline: &Timeline) -> Table {
    let row = |gap: &&Gap| {
        let (from, to) = words::gap_span(gap, timeline.cut_off);
        vec![words::gap_kind(gap.kind).to_owned(), gap.subject.name.clone(), from, to, gap.words.clone()]
    };
    Table {
        caption: "表2 缺口".to_owned(),
        columns: vec![
            column("类型", 135),
            column("对象", 145),
            column("起", 210),
            column("止", 210),
            column("说明", 300),
        ],
        rows: gaps.iter().take(MAX_ROWS).map(row).collect(),
    }
}

fn unknowns(n: &Summary) -> Vec<String> {
    let mut said = Vec::new();
    if n.gaps > 0 {
        said.push("未巡查的岸段和静默的传感器在相应时段的情况不明，不能据此认为没有问题。".to_owned());
    }
    if n.unknown_flow_days > 0 {
        let days = n.unknown_flow_days;
        said.push(format!("有{days}天见到排水而降雨资料不足，不能判定旱天或雨天，相应发现不高于E0级。"));
    }
    if n.photos_missing > 0 {
        said.push(format!("有{}张照片尚未收到，收到后相应发现的证据等级可能变化。", n.photos_missing));
    }
    said.push("排水的来源、水质成分和管网走向未经检测或溯源，本材料不作推断。".to_owned());
    said
}
