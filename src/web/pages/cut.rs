//! One page of a timeline's rows, which holds still while rows are added.

use super::query::Order;
use crate::error::{Error, Result};
use crate::evidence::timeline::Row;

/// Rows on one page of HTML.
const PAGE_ROWS: usize = 100;

/// Keeps one page of `rows` and gives the cursor of the next: the time of its last row, and how many of that time have
/// been shown. A row that comes in between, before or after, moves no other from one page to the next.
///
/// # Errors
/// `Invalid` at `cursor`.
pub fn cut_page(rows: &mut Vec<Row>, order: Order, cursor: &str) -> Result<Option<String>> {
    if !cursor.is_empty() {
        let parts = cursor.split_once('.').and_then(|(ms, n)| Some((ms.parse().ok()?, n.parse().ok()?)));
        let (ms, shown): (i64, usize) =
            parts.ok_or_else(|| Error::invalid("cursor", "is not one that a page gave"))?;
        let at = |row: &Row| row.at().as_millisecond();
        let before = rows.iter().take_while(|r| match order {
            Order::NewestFirst => at(r) > ms,
            Order::OldestFirst => at(r) < ms,
        });
        let before = before.count();
        let same = rows.iter().skip(before).take_while(|r| at(r) == ms).count();
        rows.drain(..before + same.min(shown));
    }
    let more = rows.len() > PAGE_ROWS;
    rows.truncate(PAGE_ROWS);
    let Some(last) = rows.last().filter(|_| more) else { return Ok(None) };
    let ms = last.at().as_millisecond();
    let shown = rows.iter().rev().take_while(|r| r.at().as_millisecond() == ms).count();
    Ok(Some(format!("{ms}.{shown}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_ms;
    use crate::evidence::timeline::RainDay;

    fn rows(order: Order, times: impl IntoIterator<Item = i64>) -> Vec<Row> {
        let rain =
            |ms| Row::Rain(RainDay { from: from_ms(ms), mm: 0.0, coverage: 1.0, source: String::new() });
        let mut rows: Vec<Row> = times.into_iter().map(rain).collect();
        rows.sort_by_key(Row::at);
        if order == Order::NewestFirst {
            rows.reverse();
        }
        rows
    }

    /// Thirty rows share each instant, so that pages end among equal times.
    #[test]
    fn a_row_that_comes_in_between_moves_no_other_from_its_page() {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let old: Vec<i64> = (0..350).map(|n| 1_000 + n / 30 * 10).collect();
            let (mut found, mut cursor, mut new) = (Vec::new(), String::new(), Vec::new());
            loop {
                let mut page = rows(order, old.iter().chain(&new).copied());
                let next = cut_page(&mut page, order, &cursor).unwrap();
                assert!(page.len() == PAGE_ROWS || next.is_none());
                found.extend(page.iter().map(|r| r.at().as_millisecond()).filter(|ms| ms % 10 == 0));
                let Some(next) = next else { break };
                cursor = next;
                // Before what was shown, and after it.
                new.extend([1, 9_999_991, 1_003 + new.len() as i64 * 10]);
            }
            let mut wanted = old.clone();
            if order == Order::NewestFirst {
                wanted.reverse();
            }
            assert_eq!(found, wanted, "{order:?}");
            assert!(new.len() > 6);
        }
        for wrong in ["two", "7", "1.x", "1.-1"] {
            assert!(cut_page(&mut Vec::new(), Order::OldestFirst, wrong).is_err(), "{wrong}");
        }
    }
}
