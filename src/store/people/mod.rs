//! Accounts, and the entries that say what became of them. Sessions and links stand beside.

mod last_used;
mod machines;
mod open;
mod sessions;

use std::io::Write;

use rusqlite::params;

use super::backup::private;
use super::tx::Tx;
use super::{Store, off_thread, read_error, remove_durably};
use crate::error::{Error, Result};
use crate::evidence::entry::{self, Change, Entry, FORMAT, Payload, Receipt};
use crate::people::{Account, AccountBody, Role};

pub(super) use last_used::LastUsed;
pub use machines::{Machine, Phone};
pub use open::Open;
pub use sessions::{Invite, Limits, Purpose, SESSIONS_MAX, Session};

/// The file with the setup link, in the data directory.
const SETUP_FILE: &str = "setup-link";
/// Whether somebody governs here.
const GOVERNED: &str =
    "select exists (select 1 from account where role = 'admin' and disabled = 0 and password is not null)";

/// What is asked of an account that signs in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who.
    pub account: Account,
    /// PHC string.
    pub password: Option<String>,
    /// PHC string.
    pub pin: Option<String>,
    /// Secret of one-time codes.
    pub totp: Option<Vec<u8>>,
}

/// A secret of an account, as it is kept.
#[derive(Clone, Debug)]
pub enum Secret {
    /// PHC string of the password.
    Password(String),
    /// PHC string of the PIN.
    Pin(String),
    /// The second factor.
    Totp(Factor),
    /// No second factor any more.
    NoTotp,
}

/// A second factor that is set.
#[derive(Clone, Debug)]
pub struct Factor {
    /// Secret of one-time codes.
    pub secret: Vec<u8>,
    /// The step of the code that showed that the app has it: used up.
    pub used: u64,
}

/// What was looked at that is not for everybody's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The sealed original of a photo, with all that the camera wrote into it.
    Original,
    /// A voice note: a person can be known by it.
    Voice,
    /// The name of a person.
    Name,
}

impl Looked {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Voice => "voice",
            Self::Name => "name",
        }
    }
}

type AccountRow = (String, String, String, Option<String>, Option<String>, bool, bool, bool, bool);

const ACCOUNT: &str = "select id, name, role, unit, login, password is not null, pin is not null, totp is not null, \
    disabled from account";

fn account(row: AccountRow) -> Result<Account> {
    let (id, name, role, unit, login, has_password, has_pin, has_totp, disabled) = row;
    let role = role.parse().map_err(|_| Error::Internal(format!("account {id} has no known role")))?;
    Ok(Account { id, name, role, unit, login, has_password, has_pin, has_totp, disabled })
}

impl Store {
    /// Everybody, those who may not sign in any more too.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_accounts(&self) -> Result<Vec<Account>> {
        let sql = format!("{ACCOUNT} order by disabled, id");
        let rows: Vec<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.account_readers)
            .await
            .map_err(read_error)?;
        rows.into_iter().map(account).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_account(&self, id: &str) -> Result<Option<Account>> {
        let sql = format!("{ACCOUNT} where id = $1");
        let row: Option<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.account_readers)
            .await
            .map_err(read_error)?;
        row.map(account).transpose()
    }

    /// What an account shows who it is by; by its login, or by its id.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_sign_in(&self, login_or_id: &str) -> Result<Option<SignIn>> {
        type Secrets = (String, Option<String>, Option<String>, Option<Vec<u8>>);
        let row: Option<Secrets> = sqlx::query_as(
            "select id, password, pin, totp from account where (login = $1 or id = $1) and disabled = 0
             order by login is null limit 1",
        )
        .bind(login_or_id)
        .fetch_optional(&self.account_readers)
        .await
        .map_err(read_error)?;
        let Some((id, password, pin, totp)) = row else { return Ok(None) };
        let account = self.find_account(&id).await?;
        Ok(account.map(|account| SignIn { account, password, pin, totp }))
    }

    /// Somebody governs here: an administrator who can sign in.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn has_admin(&self) -> Result<bool> {
        sqlx::query_scalar(GOVERNED).fetch_one(&self.account_readers).await.map_err(read_error)
    }

    /// Adds a person, who has no secret yet. `by` is the id of whoever does it.
    ///
    /// # Errors
    /// `Conflict` if the login is taken.
    pub async fn add_account(&self, body: AccountBody, by: String) -> Result<Account> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                let id = next_id(tx)?;
                login_is_free(tx, &body, &id)?;
                tx.exec(
                    "insert into account (id, name, role, unit, login, disabled) values (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![id, body.name, body.role.as_str(), body.unit, body.login, body.disabled],
                )?;
                append_account(tx, &id, Change::Added, &body, by, received_at)?;
                Ok(told(id, body))
            })
            .await
    }

    /// Changes a person, or takes the right to sign in; then every session ends in the same transaction. The last
    /// administrator stays.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if the login is taken or nobody would govern any more.
    pub async fn change_account(&self, id: String, body: AccountBody, by: String) -> Result<()> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                let known: Option<(String, bool)> =
                    tx.find("select role, disabled from account where id = ?1", (&id,))?;
                let (role, disabled) = known.ok_or_else(|| Error::NotFound(format!("account {id}")))?;
                login_is_free(tx, &body, &id)?;
                tx.exec(
                    "update account set name = ?2, role = ?3, unit = ?4, login = ?5, disabled = ?6 where id = ?1",
                    params![id, body.name, body.role.as_str(), body.unit, body.login, body.disabled],
                )?;
                if role == Role::Admin.as_str() && (body.role != Role::Admin || body.disabled) {
                    somebody_governs(tx)?;
                }
                // A right that was taken must not live on in a session.
                if body.disabled || body.role.as_str() != role {
                    end_all(tx, &id)?;
                }
                let change = match (disabled, body.disabled) {
                    (false, true) => Change::Disabled,
                    (true, false) => Change::Enabled,
                    _ => Change::Changed,
                };
                append_account(tx, &id, change, &body, by, received_at).map(|_| ())
            })
            .await
    }

    /// Sets a secret; every session ends, and a link that is still open is void.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_secret(&self, id: String, secret: Secret, by: String) -> Result<()> {
        let received_at = self.clock.now();
        self.writer.run(move |tx| set_secret(tx, &id, &secret, by, received_at)).await
    }

    /// Keeps the setup link in a file that only its owner reads; `None` takes the file away. Gives where it is.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn keep_setup_link(&self, link: Option<String>) -> Result<std::path::PathBuf> {
        let path = self.dir.join(SETUP_FILE);
        off_thread(move || {
            match link {
                Some(link) => writeln!(private(&path)?, "{link}")?,
                None => remove_durably(&path)?,
            }
            Ok(path)
        })
        .await
    }

    /// Says in the log that somebody looked at what is not for everybody.
    ///
    /// # Errors
    /// As every write: then nothing is shown.
    pub async fn add_access(&self, by: String, looked: Looked, of: String) -> Result<Receipt> {
        let received_at = self.clock.now();
        let what = looked.as_str().to_owned();
        let entry = Entry::Access { v: FORMAT, received_at, by, what, of };
        self.writer.run(move |tx| tx.append(&entry, "", &[])).await
    }
}

fn told(id: String, body: AccountBody) -> Account {
    let AccountBody { name, role, unit, login, disabled } = body;
    Account { id, name, role, unit, login, has_password: false, has_pin: false, has_totp: false, disabled }
}

fn login_is_free(tx: &Tx<'_>, body: &AccountBody, id: &str) -> Result<()> {
    let Some(login) = &body.login else { return Ok(()) };
    let other: Option<(String,)> =
        tx.find("select id from account where login = ?1 and id <> ?2", (login, id))?;
    match other {
        Some(_) => Err(Error::Conflict(format!("the login `{login}` is taken"))),
        None => Ok(()),
    }
}

/// Somebody governs, as this transaction has it.
fn is_governed(tx: &Tx<'_>) -> Result<bool> {
    tx.row::<(bool,)>(GOVERNED, ()).map(|(is,)| is)
}

/// The id of the next account: for ever its own.
fn next_id(tx: &Tx<'_>) -> Result<String> {
    let (last,): (i64,) =
        tx.row("select coalesce(max(cast(substr(id, 3) as integer)), 0) from account", ())?;
    Ok(format!("p-{:02}", last + 1))
}

fn somebody_governs(tx: &Tx<'_>) -> Result<()> {
    if is_governed(tx)? {
        return Ok(());
    }
    Err(Error::Conflict("the last administrator stays: nobody could govern any more".into()))
}

/// Ends every session of an account.
fn end_all(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.exec("delete from session where account = ?1", (id,))?;
    tx.exec("delete from invite where account = ?1", (id,))
}

fn set_secret(
    tx: &mut Tx<'_>,
    id: &str,
    secret: &Secret,
    by: String,
    received_at: jiff::Timestamp,
) -> Result<()> {
    let known: Option<(String, Option<String>, String)> =
        tx.find("select role, unit, name from account where id = ?1", (id,))?;
    let (role, unit, name) = known.ok_or_else(|| Error::NotFound(format!("account {id}")))?;
    let change = match secret {
        Secret::Password(phc) => {
            tx.exec("update account set password = ?2 where id = ?1", (id, phc))?;
            Change::Password
        }
        Secret::Pin(phc) => {
            tx.exec("update account set pin = ?2 where id = ?1", (id, phc))?;
            Change::Pin
        }
        Secret::Totp(Factor { secret, used }) => {
            tx.exec("update account set totp = ?2, totp_used = ?3 where id = ?1", (id, secret, used))?;
            Change::Totp
        }
        Secret::NoTotp => {
            tx.exec("update account set totp = null, totp_used = 0 where id = ?1", (id,))?;
            Change::Totp
        }
    };
    end_all(tx, id)?;
    let role = role.parse()?;
    let body = AccountBody { name, role, unit, login: None, disabled: false };
    append_account(tx, id, change, &body, by, received_at).map(|_| ())
}

fn append_account(
    tx: &mut Tx<'_>,
    id: &str,
    change: Change,
    body: &AccountBody,
    by: String,
    received_at: jiff::Timestamp,
) -> Result<Receipt> {
    let named = matches!(change, Change::Added | Change::Changed | Change::Enabled | Change::Disabled);
    let payloads: Vec<Payload> =
        if named { vec![Payload::new("name", body.name.as_bytes())?] } else { Vec::new() };
    let entry = Entry::Account {
        v: FORMAT,
        received_at,
        account: id.to_owned(),
        change,
        role: body.role.as_str().to_owned(),
        unit: body.unit.clone(),
        by,
        commit: entry::commit(&payloads),
    };
    tx.append(&entry, id, &payloads)
}
