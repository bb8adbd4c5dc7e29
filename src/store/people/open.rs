//! Where somebody is signed in, for their own eyes.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Limits;
use super::sessions::ms;
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::people::secret;
use crate::store::{Store, read_error};

/// A session, as it is called: the beginning of its token's digest, which opens nothing.
const ID: &str = "lower(substr(hex(digest), 1, 16))";

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Open {
    /// To end it by.
    pub id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub began_at: Timestamp,
    /// When it was used last, to some minutes.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// What the shared phone is called; at a desk none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The one that asks.
    pub here: bool,
}

impl Store {
    /// Where `account` is signed in; `here` is the token that asks.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_sessions(
        &self,
        account: &str,
        here: Option<&str>,
        limits: Limits,
    ) -> Result<Vec<Open>> {
        let now = self.clock.now().as_millisecond();
        let sql = format!(
            "select digest, {ID}, began_ms, seen_ms, (select p.name from phone p where p.id = session.phone) from session
             where account = $1 and began_ms > $2"
        );
        type Row = (Vec<u8>, String, i64, i64, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(account)
            .bind(now.saturating_sub(ms(limits.absolute)))
            .fetch_all(&self.account_readers)
            .await
            .map_err(read_error)?;
        let here = here.map(secret::digest);
        let mut all = Vec::new();
        for (digest, id, began, stored, phone) in rows {
            // By the same use that keeps it alive, stored or not.
            let Ok(digest) = <[u8; 32]>::try_from(digest) else { continue };
            let seen = self.last_used.newest(&digest, stored);
            if seen > now.saturating_sub(ms(limits.idle)) {
                let (began_at, seen_at) = (from_ms(began), from_ms(seen));
                all.push(Open { id, began_at, seen_at, phone, here: here == Some(digest) });
            }
        }
        all.sort_by_key(|open| std::cmp::Reverse((open.seen_at, open.began_at)));
        Ok(all)
    }

    /// Ends one session of `account`.
    ///
    /// # Errors
    /// `NotFound` if it has none of this id.
    pub async fn end_one_session(&self, account: String, id: String) -> Result<()> {
        self.writer
            .run(move |tx| {
                let sql = format!("delete from session where account = ?1 and {ID} = ?2");
                tx.exec(&sql, (&account, &id))?;
                if tx.conn.changes() == 0 {
                    return Err(Error::NotFound(format!("session {id}")));
                }
                Ok(())
            })
            .await
    }
}
