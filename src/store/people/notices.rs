//! What others did to an account, told to its owner: from the log, where it stands for good.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::from_ms;
use crate::error::Result;
use crate::store::{Store, read_error};

/// How long the own page shows it, also after the owner has said that it is known: whoever came in by a link that was made
/// for somebody else could say so too.
const SHOWN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// More than that is told from the newest on.
const MOST: u32 = 20;

/// Something that somebody else did to an account by which they, too, could have signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notice {
    /// Index of its entry.
    pub entry: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `link`: a one-time link was made; `password`, `pin`, `totp`: it was set or taken away; `unlocked`: one-time codes are
    /// taken again.
    pub what: String,
    /// Name of who did it; `shell` for a command of the operator.
    pub by: String,
    /// The owner has not said yet that it is known.
    pub new: bool,
}

impl Store {
    /// What others did to `account` that its owner has not said to know; the newest first, at most 20.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_new_notices(&self, account: &str) -> Result<Vec<Notice>> {
        self.notices(account, "e.idx > a.told", 0).await
    }

    /// What others did to `account` in the last ninety days, known or not; the newest first, at most 20.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_notices(&self, account: &str) -> Result<Vec<Notice>> {
        let since = self.clock.now().checked_sub(SHOWN).unwrap_or(Timestamp::MIN);
        self.notices(account, "e.received_ms > $2", since.as_millisecond()).await
    }

    /// `which` of the entries, `$2` being `since_ms`.
    async fn notices(&self, account: &str, which: &'static str, since_ms: i64) -> Result<Vec<Notice>> {
        type Row = (i64, i64, String, String, bool);
        let sql = format!(
            "select e.idx, e.received_ms, cast(e.body as text) ->> 'change',
               coalesce((select name from account where id = cast(b.body as text)), cast(b.body as text)), e.idx > a.told
             from account a join entry e on e.kind = 'account' and {which}
               join payload w on w.entry = e.idx and w.name = 'account' and w.body = cast(a.id as blob)
               join payload b on b.entry = e.idx and b.name = 'by' and b.body <> cast(a.id as blob)
             where a.id = $1 and cast(e.body as text) ->> 'change' in ('link', 'password', 'pin', 'totp', 'unlocked')
             order by e.idx desc limit $3"
        );
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(account)
            .bind(since_ms)
            .bind(MOST)
            .fetch_all(&self.account_readers)
            .await
            .map_err(read_error)?;
        let notice = |(entry, ms, what, by, new): Row| Notice {
            entry: entry.unsigned_abs(),
            at: from_ms(ms),
            what,
            by,
            new,
        };
        Ok(rows.into_iter().map(notice).collect())
    }

    /// The owner of `account` knows what others did up to the entry `index`.
    ///
    /// # Errors
    /// As every write.
    pub async fn set_told(&self, account: String, index: u64) -> Result<()> {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.writer
            .run(move |tx| {
                tx.exec(
                    "update account set told = max(told, min(?2, (select coalesce(max(idx), -1) from entry))) where id = ?1",
                    (account, index),
                )
            })
            .await
    }
}
