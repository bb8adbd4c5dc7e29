//! What every document says of its data, and the paper witness of the log.

use super::{Block, Section};
use crate::document::words;
use crate::evidence::timeline::{Row, Timeline};

pub(super) fn about(timeline: &Timeline) -> Section {
    let numbered = notes(timeline).into_iter().enumerate().map(|(i, note)| format!("{}. {note}", i + 1));
    let lines: Vec<String> =
        numbered.flat_map(|note| note.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut blocks: Vec<Block> = lines.into_iter().map(Block::Paragraph).collect();
    blocks.extend(timeline.checkpoint.as_ref().map(|checkpoint| Block::Code {
        text: checkpoint.to_string(),
        caption: "图3 存证日志检查点（日志名称、条目数、根哈希）".to_owned(),
    }));
    Section { heading: "五、数据说明".to_owned(), blocks }
}

/// The paper witness: whoever keeps this paper can show later which log there was.
fn witness(timeline: &Timeline) -> String {
    let Some(c) = &timeline.checkpoint else {
        return "纸上见证：截止时日志还没有签名的检查点。".to_owned();
    };
    format!(
        "纸上见证：截止时最新的检查点为日志{}的前{}个条目，根哈希（Base64）为\n{}\n保存本材料即留下见证：日后日志若删改\
         其中任何条目，其一致性证明便与此不符。",
        c.origin,
        c.size,
        c.root_text()
    )
}

/// What was received by a clock that had been set back.
fn clock(timeline: &Timeline) -> Option<String> {
    let sightings =
        timeline.rows.iter().filter_map(|row| if let Row::Sighting(s) = row { Some(s) } else { None });
    let behind = sightings.filter(|s| s.clock_behind_s.is_some()).count();
    let words = "条上报的收到时间早于日志中排在它前面的条目（服务器时钟曾经走慢），备注中注明了慢多少。";
    (behind > 0).then(|| format!("服务器时钟：所列记录中有{behind}{words}"))
}

/// Who else keeps a head of the log, by their own word.
fn seen_heads(timeline: &Timeline) -> String {
    let Some(seen) = &timeline.seen_heads else {
        return "其他留存：截止前24小时内没有手机或办公电脑核对过日志。".to_owned();
    };
    let who = match (seen.phones, seen.desks) {
        (phones, 0) => format!("{phones}部手机"),
        (0, desks) => format!("{desks}个办公账号"),
        (phones, desks) => format!("{phones}部手机、{desks}个办公账号"),
    };
    format!(
        "其他留存：截止前24小时内有{who}核对并各自留存了日志检查点，最大到前{}个条目，最近一次为{}（北京时间）。",
        seen.size,
        words::minute(seen.at)
    )
}

/// What every document says about its data: cut-off, filter, log, rules, and what the data are not. The root stands
/// on a line of its own: it cannot be broken well.
pub(crate) fn notes(timeline: &Timeline) -> Vec<String> {
    let dry = timeline.rules.dry;
    let rain = match timeline.rules.rain_station.as_str() {
        "" => "没有配置雨量站".to_owned(),
        station => format!("雨量取自{station}"),
    };
    let mut notes = vec![
        format!("截止时间：{}（北京时间）前收到的数据。", words::minute(timeline.cut_off)),
        format!("筛选条件：{}。", timeline.filter_words),
        format!(
            "存证日志：截止时共{}个条目，Merkle根哈希（RFC 6962）为\n{}",
            timeline.log_size, timeline.log_root
        ),
        format!(
            "旱天与雨天：发现前{}小时内降雨达到{} mm为雨天；不足且降雨资料覆盖该时段九成以上为旱天；其余为降雨未知，\
             不按旱天计。{rain}。",
            dry.window_h, dry.limit_mm
        ),
        format!(
            "证据等级：E0有照片，降雨未知、雨天或未见水流；E1有照片且旱天见水流；E2为E1并有污水特征（氨氮快速检测不低于{} \
             mg/L，或气味、颜色、漂浮物中两项达2级）。等级为工作约定，非国家标准。",
            timeline.rules.nh3n_limit_mg_l
        ),
        "监测数据：在线监测为现场原始值，未审核。《地表水环境质量标准》（GB 3838-2002）第6.1条要求水样沉降30分钟后取上层\
         非沉降部分分析，故在线值仅供参考，不作达标评价。"
            .to_owned(),
    ];
    notes.extend(clock(timeline));
    notes.push(witness(timeline));
    notes.push(seen_heads(timeline));
    if !timeline.place_notice.is_empty() {
        let notice = words::notice(&timeline.place_notice);
        notes.push(format!("位置：湖岸、岸段和排口的位置{notice}，由此得出的距离仅供参考。"));
    }
    if timeline.demo {
        notes.push("演示数据：本材料由模拟数据生成，不反映真实情况。".to_owned());
    }
    notes
}
