//! What `/timeline`, `/patrols` and their like in the API are asked: text as it came, parsed once.

use jiff::{SignedDuration, Span, Timestamp, civil::Date};
use serde::Deserialize;

use crate::{
    clock::day_start,
    error::{Error, Result},
    evidence::timeline::{After, Filter},
    patrol::{
        duty::DutyFilter,
        report::{Person, check_person},
    },
};

/// Days of patrol duty that are shown when nothing is asked.
const DUTY_DAYS: i64 = 7;

/// Which end of the timeline comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// `desc`.
    #[default]
    NewestFirst,
    /// `asc`.
    OldestFirst,
}

/// The query of a timeline as it came. Empty fields, which an HTML form sends, count as not given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimelineQuery {
    /// Outfall code.
    pub outfall: String,
    /// Sector code.
    pub sector: String,
    /// Unit code.
    pub unit: String,
    /// Kind of report.
    pub kind: String,
    /// Patrol UUID.
    pub patrol: String,
    /// First day (`2026-07-01`, 北京时间) or instant (RFC 3339), inclusive.
    pub from: String,
    /// Last day, inclusive, or instant, exclusive.
    pub to: String,
    /// Instead of `from` and `to`: an instant, or `a/b` with both ends in it and `..` for an open one.
    pub datetime: String,
    /// `west,south,east,north`, WGS-84 degrees.
    pub bbox: String,
    /// `desc` (newest first, the default) or `asc`.
    pub order: String,
    /// Where the page before ended.
    pub cursor: String,
    /// Language of the page.
    pub lang: String,
}

impl TimelineQuery {
    /// The filter.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field and what is allowed.
    pub fn filter(&self) -> Result<Filter> {
        let (from, to) = self.period()?;
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Error::invalid("to", "must lie after `from`"));
        }
        let patrol = given(&self.patrol)
            .map(|t| t.parse().map_err(|_| Error::invalid("patrol", format!("`{t}` is not a UUID"))));
        Ok(Filter {
            outfall: given(&self.outfall).map(str::to_owned),
            sector: given(&self.sector).map(str::to_owned),
            unit: given(&self.unit).map(str::to_owned),
            kind: given(&self.kind).map(str::parse).transpose()?,
            patrol: patrol.transpose()?,
            from,
            to,
            bbox: given(&self.bbox).map(bbox).transpose()?,
        })
    }

    fn period(&self) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
        let from = given(&self.from).map(|t| instant("from", t, 0)).transpose()?;
        let to = given(&self.to).map(|t| instant("to", t, 24)).transpose()?;
        match given(&self.datetime) {
            None => Ok((from, to)),
            Some(text) if from.is_none() && to.is_none() => interval(text),
            Some(_) => {
                Err(Error::invalid("datetime", "is given beside `from` or `to`; allowed: one or the other"))
            }
        }
    }

    /// The order of the rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything but `asc` and `desc`.
    pub fn order(&self) -> Result<Order> {
        match self.order.as_str() {
            "" | "desc" => Ok(Order::NewestFirst),
            "asc" => Ok(Order::OldestFirst),
            other => Err(Error::invalid("order", format!("`{other}` is not known; allowed: asc, desc"))),
        }
    }

    /// Where the page begins, for the API.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor that no page gave.
    pub fn after(&self) -> Result<Option<After>> {
        given(&self.cursor).map(str::parse).transpose()
    }

    /// The filter alone as a query string, the same for the API and every document.
    #[must_use]
    pub fn filter_string(&self) -> String {
        query_string(&[
            ("outfall", &self.outfall),
            ("sector", &self.sector),
            ("unit", &self.unit),
            ("kind", &self.kind),
            ("patrol", &self.patrol),
            ("from", &self.from),
            ("to", &self.to),
            ("datetime", &self.datetime),
            ("bbox", &self.bbox),
        ])
    }

    /// The page's address with another cursor and language; empty ones are left out.
    #[must_use]
    pub fn page_href(&self, cursor: &str, lang: &str) -> String {
        let rest = query_string(&[("order", &self.order), ("cursor", cursor), ("lang", lang)]);
        let parts: Vec<_> = [self.filter_string(), rest].into_iter().filter(|p| !p.is_empty()).collect();
        if parts.is_empty() { "/timeline".to_owned() } else { format!("/timeline?{}", parts.join("&")) }
    }
}

/// The query of patrol duty as it came. Empty fields, which an HTML form sends, count as not given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DutyQuery {
    /// First day, 北京时间; default: so that it is a week.
    pub from: String,
    /// Last day, inclusive; default: today.
    pub to: String,
    /// Sector code.
    pub sector: String,
    /// Opaque id of a person.
    pub person: String,
    /// Language of the page.
    pub lang: String,
}

impl DutyQuery {
    /// The filter; `today` is where a period ends of which nothing is said.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field and what is allowed.
    pub fn filter(&self, today: Date) -> Result<DutyFilter> {
        let day = |field: &str, text: &str| {
            let wrong = |_| Error::invalid(field, format!("`{text}` is not a day; allowed: 2026-07-01"));
            given(text).map(|t| t.parse::<Date>().map_err(wrong)).transpose()
        };
        let to = day("to", &self.to)?.unwrap_or(today);
        let from = match day("from", &self.from)? {
            Some(from) => from,
            None => to.saturating_sub(Span::new().days(DUTY_DAYS - 1)),
        };
        let person = given(&self.person).map(str::to_owned);
        if let Some(id) = &person {
            check_person(&Person { id: id.clone(), name: None }).map_err(|e| match e {
                Error::Invalid { message, .. } => Error::invalid("person", message),
                other => other,
            })?;
        }
        Ok(DutyFilter { from, to, sector: given(&self.sector).map(str::to_owned), person })
    }

    /// The filter alone as a query string, the same for page and table.
    #[must_use]
    pub fn filter_string(&self) -> String {
        query_string(&[
            ("from", &self.from),
            ("to", &self.to),
            ("sector", &self.sector),
            ("person", &self.person),
        ])
    }
}

fn given(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}

/// A day is its start in 北京时间, `later_h` hours later; an instant is itself.
fn instant(field: &str, text: &str, later_h: i64) -> Result<Timestamp> {
    let wrong =
        || Error::invalid(field, format!("`{text}` is neither a day (2026-07-01) nor an instant (RFC 3339)"));
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day: Date = text.parse().map_err(|_| wrong())?;
    let start = day_start(day).ok_or_else(wrong)?;
    start.checked_add(SignedDuration::from_hours(later_h)).map_err(|_| wrong())
}

/// OGC API Features 7.15.4: an instant, or `a/b` closed at both ends, `..` or nothing for an open one.
fn interval(text: &str) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
    let wrong = || {
        Error::invalid(
            "datetime",
            format!("`{text}`; allowed: an RFC 3339 instant, or `a/b`, `../b`, `a/..`"),
        )
    };
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    let end = |t: &str| match t {
        "" | ".." => Ok(None),
        t => t.parse::<Timestamp>().map(Some).map_err(|_| wrong()),
    };
    // The filter ends before `to`, and everything is stored to the millisecond.
    let after = |t: Timestamp| t.checked_add(SignedDuration::from_millis(1)).map_err(|_| wrong());
    match (end(first)?, end(last)?.map(after).transpose()?) {
        (None, None) => Err(wrong()),
        (Some(from), Some(to)) if from >= to => Err(wrong()),
        period => Ok(period),
    }
}

fn bbox(text: &str) -> Result<[f64; 4]> {
    let wrong = || Error::invalid("bbox", format!("`{text}` is not `west,south,east,north` in degrees"));
    let numbers: Vec<f64> =
        text.split(',').map(|n| n.trim().parse::<f64>()).collect::<Result<_, _>>().map_err(|_| wrong())?;
    match numbers[..] {
        [w, s, e, n]
            if (-180.0..=180.0).contains(&w) && e <= 180.0 && w < e && s >= -90.0 && s < n && n <= 90.0 =>
        {
            Ok([w, s, e, n])
        }
        _ => Err(wrong()),
    }
}

/// `a=1&b=2`, percent-encoded; empty values are left out.
pub(super) fn query_string(pairs: &[(&str, &str)]) -> String {
    let written: Vec<_> =
        pairs.iter().filter(|p| !p.1.is_empty()).map(|(k, v)| format!("{k}={}", encoded(v))).collect();
    written.join("&")
}

/// Percent-encoding of all but the unreserved characters of RFC 3986, 2.3.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_of_beijing_and_the_last_one_is_in_it() {
        let query =
            TimelineQuery { from: "2026-07-01".into(), to: "2026-07-01".into(), ..TimelineQuery::default() };
        let filter = query.filter().unwrap();
        assert_eq!(filter.from.unwrap().to_string(), "2026-06-30T16:00:00Z");
        assert_eq!(filter.to.unwrap().to_string(), "2026-07-01T16:00:00Z");
    }

    #[test]
    fn an_interval_holds_both_its_ends() {
        let period = |datetime: &str| {
            let filter = TimelineQuery { datetime: datetime.into(), ..Default::default() }.filter().unwrap();
            (filter.from.map(|t| t.to_string()), filter.to.map(|t| t.to_string()))
        };
        let (a, b) = (Some("2026-07-01T00:00:00Z".to_owned()), Some("2026-07-02T00:00:00.001Z".to_owned()));
        assert_eq!(period("2026-07-01T08:00:00+08:00/2026-07-02T00:00:00Z"), (a.clone(), b.clone()));
        assert_eq!(period("2026-07-01T00:00:00Z/.."), (a.clone(), None));
        assert_eq!(period("/2026-07-02T00:00:00Z"), (None, b));
        assert_eq!(period("2026-07-01T00:00:00Z"), (a, Some("2026-07-01T00:00:00.001Z".to_owned())));
    }

    #[test]
    fn wrong_fields_are_named() {
        let field = |query: TimelineQuery| match query.filter() {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let empty = TimelineQuery::default;
        assert_eq!(field(TimelineQuery { from: "July".into(), ..empty() }), "from");
        assert_eq!(field(TimelineQuery { kind: "fire".into(), ..empty() }), "kind");
        assert_eq!(field(TimelineQuery { patrol: "7".into(), ..empty() }), "patrol");
        assert_eq!(field(TimelineQuery { bbox: "113,29,112,30".into(), ..empty() }), "bbox");
        assert_eq!(field(TimelineQuery { bbox: "NaN,29,112,30".into(), ..empty() }), "bbox");
        let turned = TimelineQuery { from: "2026-07-02".into(), to: "2026-07-01".into(), ..empty() };
        assert_eq!(field(turned), "to");
        for wrong in ["..", "../..", "July", "2026-07-02T00:00:00Z/2026-07-01T00:00:00Z", "a/b/c"] {
            assert_eq!(field(TimelineQuery { datetime: wrong.into(), ..empty() }), "datetime");
        }
        assert_eq!(empty().filter().unwrap(), Filter::default());
        assert_eq!(empty().after().unwrap(), None);
        assert!(TimelineQuery { cursor: "two".into(), ..empty() }.after().is_err());
        assert!(TimelineQuery { order: "up".into(), ..empty() }.order().is_err());
    }

    #[test]
    fn patrol_duty_is_asked_by_days() {
        let today: Date = "2026-07-14".parse().unwrap();
        let filter = |from: &str, to: &str, person: &str| {
            DutyQuery { from: from.into(), to: to.into(), person: person.into(), ..Default::default() }
                .filter(today)
        };
        let week = filter("", "", "").unwrap();
        assert_eq!((week.from.to_string(), week.to), ("2026-07-08".to_owned(), today));
        assert_eq!(filter("", "2026-06-07", "p-01").unwrap().from.to_string(), "2026-06-01");
        for (from, to, person, field) in
            [("July", "", "", "from"), ("", "2026-07-14T00:00:00Z", "", "to"), ("", "", "张三", "person")]
        {
            let Err(Error::Invalid { field: found, .. }) = filter(from, to, person) else {
                panic!("{field}")
            };
            assert_eq!(found, field);
        }
    }

    #[test]
    fn addresses_are_encoded_and_carry_the_filter() {
        let query =
            TimelineQuery { outfall: "排口&1".into(), order: "asc".into(), ..TimelineQuery::default() };
        assert_eq!(query.filter_string(), "outfall=%E6%8E%92%E5%8F%A3%261");
        assert_eq!(query.page_href("9", ""), "/timeline?outfall=%E6%8E%92%E5%8F%A3%261&order=asc&cursor=9");
        assert_eq!(TimelineQuery::default().page_href("", ""), "/timeline");
    }
}
