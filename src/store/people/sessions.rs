//! Who is signed in, and the links that let somebody in once.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;

use super::machines::{Phone, add_phone};
use super::{
    Account, AccountBody, Factor, Role, Secret, append_account, append_change, is_governed, login_is_free,
    next_id, set_secret,
};
use crate::error::{Error, Result};
use crate::evidence::entry::Change;
use crate::people::secret;
use crate::store::tx::Tx;
use crate::store::{Store, read_error};

/// Sessions of one account at a time.
pub const SESSIONS_MAX: u32 = 20;

/// How long a session lives.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Since it was last used.
    pub idle: Duration,
    /// Since it began.
    pub absolute: Duration,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub account: Account,
    /// On which shared phone, by PIN; at a desk none.
    pub phone: Option<String>,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Makes the first administrator.
    Setup,
    /// Lets a person set password and second factor.
    Person,
    /// Lets a person who has shown the password set the second factor.
    Totp,
    /// Enrols a phone.
    Phone,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Setup, Self::Person, Self::Totp, Self::Phone];

    /// The word in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Person => "person",
            Self::Totp => "totp",
            Self::Phone => "phone",
        }
    }
}

/// A link that is open.
#[derive(Clone, Debug)]
pub struct Invite {
    /// What it is for.
    pub purpose: Purpose,
    /// For whom.
    pub account: Option<Account>,
    /// The second factor that it offers.
    pub totp: Vec<u8>,
}

pub(super) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Store {
    /// Begins a session; its token is what the cookie holds. Old ones of everybody go meanwhile.
    ///
    /// # Errors
    /// `Unavailable` without randomness; as every write.
    pub async fn add_session(
        &self,
        account: String,
        phone: Option<String>,
        limits: Limits,
    ) -> Result<String> {
        let (token, now) = (secret::new_token()?, self.clock.now().as_millisecond());
        let digest = secret::digest(&token);
        self.writer
            .run(move |tx| {
                let oldest = now.saturating_sub(ms(limits.absolute));
                tx.exec("delete from session where began_ms < ?1", (oldest,))?;
                tx.exec(
                    "insert into session (digest, account, phone, began_ms, seen_ms) values (?1, ?2, ?3, ?4, ?4)",
                    params![digest, account, phone, now],
                )?;
                // Whoever signs in once more than that ends the one that was used longest ago.
                tx.exec(
                    "delete from session where account = ?1 and digest not in (
                       select digest from session where account = ?1 order by seen_ms desc, began_ms desc limit ?2)",
                    (account, SESSIONS_MAX),
                )
            })
            .await?;
        Ok(token)
    }

    /// Whose session this is, while it lives; using it keeps it alive. It never waits for the writer.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_session(&self, token: &str, limits: Limits) -> Result<Option<Session>> {
        let (digest, now) = (secret::digest(token), self.clock.now().as_millisecond());
        let row: Option<(String, Option<String>, i64)> = sqlx::query_as(
            "select s.account, s.phone, s.seen_ms from session s join account a on a.id = s.account
             left join phone p on p.id = s.phone
             where s.digest = $1 and s.began_ms > $2 and a.disabled = 0 and coalesce(p.revoked, 0) = 0",
        )
        .bind(digest.to_vec())
        .bind(now.saturating_sub(ms(limits.absolute)))
        .fetch_optional(&self.account_readers)
        .await
        .map_err(read_error)?;
        let Some((account, phone, stored)) = row else { return Ok(None) };
        let unused = now - self.last_used.newest(&digest, stored);
        if unused >= ms(limits.idle) {
            return Ok(None);
        }
        // Not at each request: a page asks many times a minute.
        if unused > ms(limits.idle) / 20 {
            self.note_use(digest, now);
        }
        let account = self.find_account(&account).await?;
        Ok(account.map(|account| Session { account, phone }))
    }

    /// Notes when a session was used; it is stored with the next write of somebody: whoever reads makes no commit, which a
    /// failing disk would answer by ending the service. Crash before that: the session is only idle since its last stored use.
    fn note_use(&self, digest: [u8; 32], now: i64) {
        self.last_used.set(digest, now);
        let last_used = self.last_used.clone();
        let update = move |tx: &mut Tx<'_>| {
            tx.exec("update session set seen_ms = ?2 where digest = ?1", (digest, now))
        };
        self.writer.ride_along(update, move || last_used.stored(&digest, now));
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As every write.
    pub async fn end_session(&self, token: &str) -> Result<()> {
        let digest = secret::digest(token);
        self.writer.run(move |tx| tx.exec("delete from session where digest = ?1", (digest,))).await
    }

    /// Ends every session of an account; `by` somebody else it is an entry.
    ///
    /// # Errors
    /// `NotFound` for an unknown account of somebody else; as every write.
    pub async fn end_sessions(&self, account: String, by: String) -> Result<()> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                tx.exec("delete from session where account = ?1", (&account,))?;
                if account == by {
                    return Ok(());
                }
                append_change(tx, &account, Change::SignedOut, by, received_at)
            })
            .await
    }

    /// Remembers a browser in which an account has signed in; its token is what the cookie holds.
    ///
    /// # Errors
    /// `Unavailable` without randomness; as every write.
    pub async fn add_known_browser(&self, account: String) -> Result<String> {
        let (token, now) = (secret::new_token()?, self.clock.now().as_millisecond());
        let digest = secret::digest(&token);
        self.writer
            .run(move |tx| {
                tx.exec("insert into known_browser values (?1, ?2, ?3)", params![digest, account, now])?;
                // The newest twenty: nobody has more.
                tx.exec(
                    "delete from known_browser where account = ?1 and digest not in (
                       select digest from known_browser where account = ?1 order by seen_ms desc limit 20)",
                    (account,),
                )
            })
            .await?;
        Ok(token)
    }

    /// Whether `account` has signed in from the browser of this token before.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn is_known_browser(&self, token: &str, account: &str) -> Result<bool> {
        sqlx::query_scalar("select exists (select 1 from known_browser where digest = $1 and account = $2)")
            .bind(secret::digest(token).to_vec())
            .bind(account)
            .fetch_one(&self.account_readers)
            .await
            .map_err(read_error)
    }

    /// Makes a link that lets in once within `lifetime`; made `by` one for another's account it is an entry. An older one for
    /// the same purpose and person is void. Gives the code that stands in it.
    ///
    /// # Errors
    /// `NotFound` for an unknown account; `Unavailable` without randomness; as every write.
    pub async fn add_invite(
        &self,
        purpose: Purpose,
        account: Option<String>,
        name: Option<String>,
        lifetime: Duration,
        by: &str,
    ) -> Result<String> {
        let (by, received_at) = (by.to_owned(), self.clock.now());
        let (code, totp) = (secret::new_token()?, secret::new_totp()?);
        let (digest, now) = (secret::digest(&code), self.clock.now().as_millisecond());
        let expires = now.saturating_add(ms(lifetime));
        self.writer
            .run(move |tx| {
                tx.exec("delete from invite where expires_ms < ?1", (now,))?;
                if purpose != Purpose::Phone {
                    tx.exec(
                        "delete from invite where purpose = ?1 and account is ?2",
                        (purpose.as_str(), &account),
                    )?;
                }
                tx.exec(
                    "insert into invite (digest, purpose, account, name, totp, expires_ms)
                     values (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![digest, purpose.as_str(), account, name, totp, expires],
                )?;
                // Who could sign in as somebody else by it is named.
                match account.filter(|account| purpose == Purpose::Person && *account != by) {
                    Some(account) => append_change(tx, &account, Change::Link, by, received_at),
                    None => Ok(()),
                }
            })
            .await?;
        Ok(code)
    }

    /// The open link of this code.
    ///
    /// # Errors
    /// `NotFound` if it was used, is too old, or never was.
    pub async fn get_invite(&self, code: &str) -> Result<Invite> {
        let row: Option<(String, Option<String>, Vec<u8>)> =
            sqlx::query_as("select purpose, account, totp from invite where digest = $1 and expires_ms > $2")
                .bind(secret::digest(code).to_vec())
                .bind(self.clock.now().as_millisecond())
                .fetch_optional(&self.account_readers)
                .await
                .map_err(read_error)?;
        let (purpose, account, totp) = row.ok_or_else(no_link)?;
        let purpose = Purpose::ALL.into_iter().find(|p| p.as_str() == purpose).ok_or_else(no_link)?;
        let account = match account {
            Some(id) => self.find_account(&id).await?,
            None => None,
        };
        Ok(Invite { purpose, account, totp })
    }

    /// Uses up a setup link: the first administrator, with password and second factor.
    ///
    /// # Errors
    /// `NotFound` if it was used meanwhile, `Conflict` if there is an administrator.
    pub async fn use_setup(
        &self,
        code: &str,
        body: AccountBody,
        password: String,
        totp: Option<Factor>,
    ) -> Result<String> {
        let (digest, now) = (secret::digest(code), self.clock.now());
        self.writer
            .run(move |tx| {
                take(tx, digest)?;
                add_admin(tx, body, &password, totp.as_ref(), now)
            })
            .await
    }

    /// Makes the first administrator of the configuration's password; without one-time codes, which the first sign-in
    /// asks to set.
    ///
    /// # Errors
    /// `Conflict` if there is one, or the login is taken.
    pub async fn add_first_admin(&self, body: AccountBody, password: String) -> Result<String> {
        let now = self.clock.now();
        self.writer.run(move |tx| add_admin(tx, body, &password, None, now)).await
    }

    /// Uses up a person's link: password, second factor, or both.
    ///
    /// # Errors
    /// `NotFound` if it was used meanwhile.
    pub async fn use_invite(&self, code: &str, account: String, secrets: Vec<Secret>) -> Result<()> {
        let (digest, now) = (secret::digest(code), self.clock.now());
        self.writer
            .run(move |tx| {
                take(tx, digest)?;
                secrets.iter().try_for_each(|s| set_secret(tx, &account, s, account.clone(), now))
            })
            .await
    }

    /// Uses up a phone's link: the phone takes part from now on. Gives its token for its cookie.
    ///
    /// # Errors
    /// `NotFound` if it was used meanwhile, or is for something else.
    pub async fn use_phone_invite(&self, code: &str) -> Result<(Phone, String)> {
        let (digest, now) = (secret::digest(code), self.clock.now());
        let token = secret::new_token()?;
        let kept = secret::digest(&token);
        let phone = self
            .writer
            .run(move |tx| {
                let found: Option<(String, Option<String>)> = tx.find(
                    "select coalesce(name, ''), account from invite
                     where digest = ?1 and purpose = 'phone' and expires_ms > ?2",
                    (digest, now.as_millisecond()),
                )?;
                let (name, by) = found.ok_or_else(no_link)?;
                take(tx, digest)?;
                add_phone(tx, &name, kept, by.unwrap_or_default(), now)
            })
            .await?;
        Ok((phone, token))
    }
}

fn no_link() -> Error {
    Error::NotFound("this link was used, is too old, or never was; ask for a new one".into())
}

fn take(tx: &Tx<'_>, digest: [u8; 32]) -> Result<()> {
    tx.exec("delete from invite where digest = ?1", (digest,))?;
    if tx.conn.changes() == 1 { Ok(()) } else { Err(no_link()) }
}

fn add_admin(
    tx: &mut Tx<'_>,
    body: AccountBody,
    password: &str,
    totp: Option<&Factor>,
    now: Timestamp,
) -> Result<String> {
    if is_governed(tx)? {
        return Err(Error::Conflict("there is an administrator; ask for a link".into()));
    }
    let id = next_id(tx)?;
    let body = AccountBody { role: Role::Admin, unit: None, disabled: false, ..body };
    login_is_free(tx, &body, &id)?;
    tx.exec(
        "insert into account (id, name, role, login, password, totp, totp_used)
         values (?1, ?2, 'admin', ?3, ?4, ?5, ?6)",
        params![id, body.name, body.login, password, totp.map(|t| &t.secret), totp.map_or(0, |t| t.used)],
    )?;
    append_account(tx, &id, Change::Added, &body, id.clone(), now)?;
    Ok(id)
}
