//! One-time codes of an account: each once, and only so many wrong ones a day.

use super::append_change;
use crate::clock::day_number;
use crate::error::Result;
use crate::evidence::entry::Change;
use crate::people::codes::{ALL_MAX, Judged, STRANGERS_MAX};
use crate::store::Store;

impl Store {
    /// Judges a one-time code of `account`, whose password was right: `step` is the time step that it belongs to, if any,
    /// and can be used once. A code beyond the day's wrong ones is not looked at; `known` browsers have more.
    ///
    /// # Errors
    /// As every write.
    pub async fn judge_code(&self, account: String, step: Option<u64>, known: bool) -> Result<Judged> {
        let today = day_number(self.clock.now());
        let max = if known { ALL_MAX } else { STRANGERS_MAX };
        self.writer
            .run(move |tx| {
                // One transaction, so that tries side by side do not all find the same count.
                let (wrong,): (u32,) = tx.row(
                    "select iif(codes_day = ?2, codes_wrong, 0) from account where id = ?1",
                    (&account, today),
                )?;
                if wrong >= max {
                    return Ok(Judged::Locked);
                }
                if let Some(step) = step {
                    let take = "update account set totp_used = ?2 where id = ?1 and totp_used < ?2";
                    tx.exec(take, (&account, step))?;
                    if tx.conn.changes() == 1 {
                        return Ok(Judged::Right);
                    }
                }
                let count = "update account set codes_day = ?2, codes_wrong = ?3 where id = ?1";
                tx.exec(count, (&account, today, wrong + 1))?;
                Ok(Judged::Wrong { locks: wrong + 1 == STRANGERS_MAX })
            })
            .await
    }

    /// Takes the codes of `account` again, as if none had been wrong today; `by` is who says so, which is an entry.
    ///
    /// # Errors
    /// `NotFound`, and as every write.
    pub async fn unlock_codes(&self, account: String, by: String) -> Result<()> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                tx.exec("update account set codes_wrong = 0 where id = ?1", (&account,))?;
                append_change(tx, &account, Change::Unlocked, by, received_at)
            })
            .await
    }
}
