//! Accounts, and the entries that say what became of them. Sessions and links stand beside.

mod codes;
mod last_used;
mod machines;
mod notices;
mod open;
mod sessions;

use std::io::Write;

use rusqlite::params;
use uuid::Uuid;

use super::backup::private;
use super::tx::Tx;
use super::{Store, off_thread, read_error, remove_durably};
use crate::clock::day_number;
use crate::error::{Error, Result};
use crate::evidence::entry::{Change, Kind, Payload, Receipt};
use crate::people::codes::STRANGERS_MAX;
use crate::people::{Account, AccountBody, Role};

pub(super) use last_used::LastUsed;
pub use machines::{Machine, NewMachine, Phone};
pub use notices::Notice;
pub use open::Open;
pub use sessions::{Invite, Limits, Purpose, SESSIONS_MAX, Session};

const HOUR_MS: i64 = 3_600_000;
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
    /// Somebody else has set the PIN: it opens nothing but the choice of one's own.
    pub pin_given: bool,
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
    /// A bundle with originals.
    Bundle,
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
            Self::Bundle => "bundle",
            Self::Name => "name",
        }
    }
}

type AccountRow = (String, String, String, Option<String>, Option<String>, bool, bool, bool, bool, bool);

/// `$1` is the day, `$2` the wrong codes after which strangers' are not taken.
const ACCOUNT: &str = "select id, name, role, unit, login, password is not null, pin is not null, totp is not null, \
    codes_day = $1 and codes_wrong >= $2, disabled from account";

fn account(row: AccountRow) -> Result<Account> {
    let (id, name, role, unit, login, has_password, has_pin, has_totp, codes_locked, disabled) = row;
    let role = role.parse().map_err(|_| Error::Internal(format!("account {id} has no known role")))?;
    Ok(Account { id, name, role, unit, login, has_password, has_pin, has_totp, codes_locked, disabled })
}

impl Store {
    /// Everybody, those who may not sign in any more too.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_accounts(&self) -> Result<Vec<Account>> {
        let sql = format!("{ACCOUNT} order by disabled, id");
        let rows: Vec<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(day_number(self.clock.now()))
            .bind(STRANGERS_MAX)
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
        let sql = format!("{ACCOUNT} where id = $3");
        let row: Option<AccountRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(day_number(self.clock.now()))
            .bind(STRANGERS_MAX)
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
        type Secrets = (String, Option<String>, Option<String>, bool, Option<Vec<u8>>);
        let row: Option<Secrets> = sqlx::query_as(
            "select id, password, pin, pin_given, totp from account where (login = $1 or id = $1) and disabled = 0
             order by login is null limit 1",
        )
        .bind(login_or_id)
        .fetch_optional(&self.account_readers)
        .await
        .map_err(read_error)?;
        let Some((id, password, pin, pin_given, totp)) = row else { return Ok(None) };
        let account = self.find_account(&id).await?;
        Ok(account.map(|account| SignIn { account, password, pin, pin_given, totp }))
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

    /// Appends an entry that says that somebody saw what is not for everybody: one for each person, thing and hour.
    ///
    /// # Errors
    /// As every write: then nothing is shown.
    pub async fn add_access(&self, by: String, looked: Looked, of: String) -> Result<Receipt> {
        let (received_at, what) = (self.clock.now(), looked.as_str());
        let hour_ms = received_at.as_millisecond() / HOUR_MS * HOUR_MS;
        self.writer
            .run(move |tx| {
                let said: Option<(u64,)> = tx.find(
                    "select e.idx from entry e
                       join payload b on b.entry = e.idx and b.name = 'by' and b.body = ?2
                       join payload o on o.entry = e.idx and o.name = 'of' and o.body = ?3
                     where e.kind = 'access' and e.received_ms >= ?1
                       and cast(e.body as text) ->> 'what' = ?4 limit 1",
                    (hour_ms, by.as_bytes(), of.as_bytes(), what),
                )?;
                if let Some((index,)) = said {
                    return tx.receipt("", index);
                }
                let payloads = [Payload::new("by", by)?, Payload::new("of", of)?];
                let kind = Kind::Access { what: what.to_owned() };
                tx.append(received_at, kind, "", &payloads)
            })
            .await
    }

    /// Discloses originals and voice note of a report to its responsible unit; once more it is nothing new.
    ///
    /// # Errors
    /// `NotFound` for an unknown report, and as every write.
    pub async fn add_disclosure(&self, report: Uuid, by: String) -> Result<()> {
        let received_at = self.clock.now();
        self.writer
            .run(move |tx| {
                let id = report.as_bytes();
                let (known, before): (bool, bool) = tx.row(
                    "select exists (select 1 from sighting where report = ?1),
                       exists (select 1 from disclosure where report = ?1)",
                    (id,),
                )?;
                if !known {
                    return Err(Error::NotFound(format!("report {report}")));
                }
                if before {
                    return Ok(());
                }
                let payloads = [Payload::new("by", by)?];
                let receipt = tx.append(received_at, Kind::Disclosure { report }, "", &payloads)?;
                tx.exec("insert into disclosure (report, entry) values (?1, ?2)", (id, receipt.index))
            })
            .await
    }

    /// Whether a supervisor disclosed the originals of a report to its unit.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn is_disclosed(&self, report: Uuid) -> Result<bool> {
        sqlx::query_scalar("select exists (select 1 from disclosure where report = $1)")
            .bind(report.as_bytes().to_vec())
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)
    }
}

fn told(id: String, body: AccountBody) -> Account {
    let AccountBody { name, role, unit, login, disabled } = body;
    Account {
        id,
        name,
        role,
        unit,
        login,
        has_password: false,
        has_pin: false,
        has_totp: false,
        codes_locked: false,
        disabled,
    }
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
    let change = match secret {
        Secret::Password(phc) => {
            tx.exec("update account set password = ?2 where id = ?1", (id, phc))?;
            Change::Password
        }
        Secret::Pin(phc) => {
            tx.exec("update account set pin = ?2, pin_given = ?3 where id = ?1", (id, phc, by != id))?;
            Change::Pin
        }
        Secret::Totp(Factor { secret, used }) => {
            tx.exec(
                "update account set totp = ?2, totp_used = ?3, codes_wrong = 0 where id = ?1",
                (id, secret, used),
            )?;
            Change::Totp
        }
        Secret::NoTotp => {
            tx.exec("update account set totp = null, totp_used = 0, codes_wrong = 0 where id = ?1", (id,))?;
            Change::Totp
        }
    };
    end_all(tx, id)?;
    // Of an account that there is not: nothing of this stays.
    append_change(tx, id, change, by, received_at)
}

/// An entry about an account whose name, role and unit stay as they are.
fn append_change(
    tx: &mut Tx<'_>,
    id: &str,
    change: Change,
    by: String,
    received_at: jiff::Timestamp,
) -> Result<()> {
    let known: Option<(String, Option<String>, String)> =
        tx.find("select role, unit, name from account where id = ?1", (id,))?;
    let (role, unit, name) = known.ok_or_else(|| Error::NotFound(format!("account {id}")))?;
    let body = AccountBody { name, role: role.parse()?, unit, login: None, disabled: false };
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
    let mut payloads = vec![
        Payload::new("account", id)?,
        Payload::new("role", body.role.as_str())?,
        Payload::new("by", by)?,
    ];
    payloads.extend(body.unit.as_deref().map(|unit| Payload::new("unit", unit)).transpose()?);
    if named {
        payloads.push(Payload::new("name", body.name.as_bytes())?);
    }
    tx.append(received_at, Kind::Account { change }, id, &payloads)
}
