//! The verdict in words for people, Chinese first; the codes are for programs.

use std::fmt::Write as _;

use super::{Proved, Verdict};
use crate::clock::beijing_minute;
use crate::evidence::bundle::Photos;

impl Verdict {
    /// 0 good by a key that was given, 1 broken, 2 not a bundle, 3 good by no key but its own: anybody can make such a one.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Good(proved) if proved.key_given => 0,
            Self::Good(_) => 3,
            Self::Broken(..) => 1,
            Self::NotABundle => 2,
        }
    }

    /// What `jijia verify` prints.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Good(proved) => good(proved),
            Self::Broken(findings, more) => {
                let mut text: String =
                    findings.iter().map(|f| format!("发现 [{}] {}\n", f.code, f.words)).collect();
                if *more > 0 {
                    let _ = writeln!(text, "发现 [more] 另有 {more} 处没有列出");
                }
                text + "结论 [broken] 证据包与规定的格式或其证明不符，不能作为证据。请从原处重新取得，或查明何处被改动。\n"
            }
            Self::NotABundle => "结论 [not-a-bundle] 这个文件不是证据包。\n".to_owned(),
        }
    }
}

fn good(p: &Proved) -> String {
    let mut lines = content(p);
    lines.extend(proof(p));
    lines.push(("未证 [truth]", "所记内容是否属实；所选条目是否齐全（可与日志核对）".to_owned()));
    lines.push(match p.key_given {
        true => ("结论 [good]", "证据包完好，每个字节都符合格式或有证明。".to_owned()),
        false => (
            "结论 [unknown-key]",
            "证据包自身一致，但只由包里自带的密钥担保，任何人都能做出这样的包：请用 --key 给出另行取得的密钥再核。".to_owned(),
        ),
    });
    lines.iter().fold(String::new(), |mut text, (code, words)| {
        let _ = writeln!(text, "{code} {words}");
        text
    })
}

type Line = (&'static str, String);

/// What is in it.
fn content(p: &Proved) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(m) = &p.manifest {
        let demo = if m.demo { "演示数据（模拟，不反映真实情况）；" } else { "" };
        lines.push(("内容 [content]", format!("{demo}{}；{}；数据截至 {}", m.place, m.filter, m.cut_off)));
        let form = match m.photos {
            Photos::Originals => "原件",
            Photos::Copies => "副本",
        };
        let counts = format!(
            "条目 {}，公开的载荷 {}，观测 {}，照片 {}（{form}），文件 {}",
            m.entries.len(),
            p.payloads,
            p.readings,
            p.photos,
            p.documents
        );
        lines.push(("内容 [counts]", counts));
        if m.photos == Photos::Copies && p.photos > 0 {
            let of_entries =
                format!("其中 {} 张的副本哈希在条目里，证明它就是照片入库时制作的那一份", p.copies);
            let words = format!(
                "照片为重新编码的副本，不证明它与原件画面一致（原件的哈希在条目里）；{of_entries}，其余只证明是放进本包的那一份"
            );
            lines.push(("未证 [copies]", words));
        }
    }
    if p.erased > 0 {
        lines.push(("说明 [erased]", format!("{} 项内容已依法删除，其条目和证明仍然有效", p.erased)));
    }
    if p.withheld > 0 {
        lines.push(("说明 [withheld]", format!("{} 项载荷没有公开（如人名），只有其承诺", p.withheld)));
    }
    if p.clock_falls > 0 {
        let words = format!("{} 处接收时间早于前一条（服务器时钟被拨回）；次序以日志为准", p.clock_falls);
        lines.push(("说明 [clock]", words));
    }
    if p.photos_missing > 0 {
        lines.push(("说明 [photos-missing]", format!("{} 张上报登记的照片不在本包", p.photos_missing)));
    }
    lines
}

/// What is proved, by whom.
fn proof(p: &Proved) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(c) = &p.checkpoint {
        let words = format!(
            "以上各条目都在日志 {} 的前 {} 条之中，从那时起没有改动；根哈希 {}；本包自己是条目 {}",
            c.origin,
            c.size,
            hex::encode(c.root),
            p.seal_index
        );
        lines.push(("已证 [proved]", words));
    }
    for key in &p.log_keys {
        let whose = match p.key_given {
            true => "用您给的密钥核对",
            false => "只用包里自带的密钥核对：请向办公室或第三方另行取得密钥，用 --key 再核一次",
        };
        lines.push(("密钥 [key]", format!("{key}（{whose}）")));
    }
    for (key, at, given) in &p.witnesses {
        let whose = if *given { "您给的密钥" } else { "包里自带的密钥" };
        let words = format!("{} 于 {}（北京时间）见证；{whose} {key}", key.name(), beijing_minute(*at));
        lines.push(("见证 [witness]", words));
    }
    if p.witnesses.is_empty() {
        let words = "没有见证人的签名：何时已有这些条目，只有日志自己的记录和别处保存的检查点（如会议材料上的二维码）可证";
        lines.push(("未证 [time]", words.to_owned()));
    }
    lines
}
