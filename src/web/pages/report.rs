//! A report's page: what was said, where, its photos, its versions, and the receipt anyone can check.

use askama::Template;

use super::{
    Here, Shell, grouped,
    lang::Lang,
    notice, render,
    row::{SightingView, entry},
};
use crate::{
    error::Result,
    evidence::timeline::{ReportNow, Sighting, Version},
    patrol::photo::taken::Apart,
    water::rain::Weather,
};

/// What the page is made from.
#[derive(Clone, Debug)]
pub struct ReportPage<'a> {
    /// 吉家湖.
    pub place: &'a str,
    /// `示意, 非测绘`, or empty.
    pub place_notice: &'a str,
    /// The report as it stands now.
    pub report: &'a ReportNow,
    /// Trusted markup of `picture`; empty leaves the map out.
    pub map_svg: &'a str,
    /// For each photo, in order, how far its own words are from the report's.
    pub apart: &'a [Apart],
    /// Whoever looks at it may hear its voice note.
    pub hears: bool,
}

struct VersionView {
    when: String,
    words: String,
    index: String,
    leaf_hash: String,
    /// The page that checks it, asked about it.
    verify_href: String,
    entry: String,
    canonical: String,
}

#[derive(Template)]
#[template(path = "report.html", config = "dashboards/askama.toml")]
struct ReportView<'a> {
    shell: Shell<'a>,
    id: String,
    s: SightingView,
    notice: &'a str,
    map_svg: &'a str,
    times: String,
    patrol: Option<String>,
    same_as: Option<String>,
    candidates: Vec<String>,
    versions: Vec<VersionView>,
}

/// The page of one report.
///
/// # Errors
/// [`crate::error::Error::Internal`] if the template fails, which it has no reason to.
pub fn report(view: &ReportPage<'_>, lang: Lang) -> Result<String> {
    let (report, s) = (view.report, &view.report.sighting);
    let mut shown = SightingView::new(s, lang);
    for (seq, photo) in shown.photos.iter_mut().enumerate().filter(|(_, p)| p.stored && p.preview) {
        photo.watermarked = Some(format!("/api/v1/reports/{}/photos/{seq}/watermarked", s.id));
    }
    for (photo, apart) in shown.photos.iter_mut().zip(view.apart) {
        photo.apart = apart_words(*apart, lang);
    }
    if let (Some(voice), Some(v)) = (&mut shown.voice, s.voice.as_ref().filter(|v| v.stored && view.hears)) {
        voice.href = Some(format!("/api/v1/voices/{}", v.sha256));
    }
    render(&ReportView {
        shell: Shell {
            lang,
            place: view.place,
            demo: report.demo,
            here: Here::Elsewhere,
            cut_off: Some(report.cut_off),
            log_size: report.log_size,
            other_href: format!("/reports/{}?lang={}", s.id, lang.other().code()),
        },
        id: s.id.to_string(),
        s: shown,
        notice: notice(view.place_notice, lang),
        map_svg: view.map_svg,
        times: times(s, lang),
        patrol: s.patrol.map(|p| p.to_string()),
        same_as: s.same_as.map(|id| id.to_string()),
        candidates: s
            .candidates
            .iter()
            .map(|c| {
                lang.fill("report.candidate", &[("code", &c.code), ("m", &super::decimal(c.distance_m))])
            })
            .collect(),
        versions: report.versions.iter().map(|v| version(v, lang)).collect(),
    })
}

fn times(s: &Sighting, lang: Lang) -> String {
    let (seen, received) = (lang.minute(s.observed_at), lang.minute(s.received_at));
    let words = lang.fill("report.times", &[("seen", &seen), ("received", &received)]);
    match s.clock_offset_s {
        Some(offset_s) => words + &lang.fill("report.clock", &[("s", &offset_s)]),
        None => words,
    }
}

/// `时间 2 分钟，位置 35 米`; nothing for a photo that says nothing.
fn apart_words(apart: Apart, lang: Lang) -> Option<String> {
    let time = apart.time.map(|t| {
        let minutes = t.as_secs().unsigned_abs() / 60;
        match minutes / 60 {
            0 => lang.fill("apart.minutes", &[("n", &minutes)]),
            hours @ 1..48 => lang.fill("apart.hours", &[("n", &hours)]),
            hours => lang.fill("apart.days", &[("n", &(hours / 24))]),
        }
    });
    let place = apart.distance_m.map(|m| match m {
        m if m < 1000.0 => lang.fill("apart.metres", &[("n", &format!("{m:.0}"))]),
        m => lang.fill("apart.kilometres", &[("n", &super::decimal(m / 1000.0))]),
    });
    let words: Vec<String> = time.into_iter().chain(place).collect();
    (!words.is_empty()).then(|| words.join(lang.t("apart.and")))
}

fn version(v: &Version, lang: Lang) -> VersionView {
    VersionView {
        when: lang.minute(v.received_at),
        words: v.words.clone(),
        index: grouped(v.entry.index),
        leaf_hash: v.entry.leaf_hash.clone(),
        verify_href: format!("/verify#{},{}", v.entry.index, v.entry.leaf_hash),
        entry: entry(&v.entry, lang),
        canonical: v.canonical.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn every_version_shows_its_receipt_and_its_bytes() {
        for lang in [Lang::Zh, Lang::En] {
            let html = samples::report_page(lang, true);
            assert!(html.contains("更正：水流 中 → 大"));
            assert!(html.contains(&"ab".repeat(32)), "the whole leaf hash");
            assert!(html.contains("sewage_outflow") && html.contains("/photos/"));
            assert_eq!(html.matches("/photos/0/watermarked\"").count(), 1, "of the one that can be shown");
            samples::check_page(&html);
        }
    }

    #[test]
    fn a_voice_note_is_said_to_all_and_played_to_those_who_may_hear_it() {
        let address = format!("/api/v1/voices/{}", "5c".repeat(32));
        let html = samples::report_page(Lang::Zh, true);
        assert!(html.contains("语音 12 秒，96 KB") && html.contains(&format!("src=\"{address}\"")), "{html}");
        let html = samples::report_page(Lang::Zh, false);
        assert!(html.contains("语音 12 秒，96 KB") && !html.contains("<audio") && !html.contains(&address));
        assert!(samples::report_page(Lang::En, false).contains("Voice note, 12 s, 96 KB"));
    }
}
