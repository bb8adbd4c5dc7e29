//! What signs in without being a person: shared phones, and programs with a token.

use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;
use utoipa::ToSchema;

use super::append_account;
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::entry::Change;
use crate::people::{AccountBody, Role, secret};
use crate::store::tx::Tx;
use crate::store::{Store, read_error};

/// A shared phone that was enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Phone {
    /// `phone-2`.
    pub id: String,
    /// What it says on its back.
    pub name: String,
    /// When it was enrolled.
    #[schema(value_type = String, format = DateTime)]
    pub added_at: Timestamp,
    /// Lost, or given up: takes part no more.
    pub revoked: bool,
}

/// A program's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Machine {
    /// `token-2`.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it acts as.
    pub role: Role,
    /// The unit it speaks for, as a `unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The stations it may send of, as a `sensor`; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stations: Option<Vec<String>>,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Ended before.
    pub revoked: bool,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewMachine {
    /// What it is for.
    pub name: String,
    /// What it acts as.
    pub role: Role,
    /// The unit it speaks for, as a `unit`.
    pub unit: Option<String>,
    /// The stations it may send of, as a `sensor`; none: all.
    pub stations: Option<Vec<String>>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl Store {
    /// The phone whose token this is, if it takes part.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_phone(&self, token: &str) -> Result<Option<Phone>> {
        let row: Option<(String, String, i64)> =
            sqlx::query_as("select id, name, added_ms from phone where token = $1 and revoked = 0")
                .bind(secret::digest(token).to_vec())
                .fetch_optional(&self.account_readers)
                .await
                .map_err(read_error)?;
        Ok(row.map(|(id, name, added)| Phone { id, name, added_at: from_ms(added), revoked: false }))
    }

    /// Every phone that was ever enrolled.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_phones(&self) -> Result<Vec<Phone>> {
        let rows: Vec<(String, String, i64, bool)> =
            sqlx::query_as("select id, name, added_ms, revoked from phone order by revoked, id")
                .fetch_all(&self.account_readers)
                .await
                .map_err(read_error)?;
        let phone = |(id, name, added, revoked)| Phone { id, name, added_at: from_ms(added), revoked };
        Ok(rows.into_iter().map(phone).collect())
    }

    /// Makes a token for a program: its text is seen this once.
    ///
    /// # Errors
    /// `Invalid` for the role of enrolled phones, and for stations of another role than `sensor`; `Unavailable` without
    /// randomness.
    pub async fn add_machine(&self, new: NewMachine, by: String) -> Result<(Machine, String)> {
        let NewMachine { name, role, unit, stations, expires_at } = new;
        if stations.is_some() && role != Role::Sensor {
            return Err(Error::invalid("stations", "belong to the role `sensor`; allowed here: none"));
        }
        if role == Role::Phone {
            return Err(Error::invalid("role", "a phone is enrolled by its link, not by a token"));
        }
        let (text, added_at) = (secret::new_token()?, self.clock.now());
        let digest = secret::digest(&text);
        let machine = self
            .writer
            .run(move |tx| {
                let id = next_id(tx, "token")?;
                let bound = stations.as_ref().map(serde_json::to_string).transpose();
                let bound = bound.map_err(|e| Error::Internal(e.to_string()))?;
                tx.exec(
                    "insert into token (id, name, role, unit, digest, added_ms, expires_ms, stations)
                     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        id,
                        name,
                        role.as_str(),
                        unit,
                        digest,
                        added_at.as_millisecond(),
                        expires_at.as_millisecond(),
                        bound
                    ],
                )?;
                say(tx, &id, &name, (role, unit.clone()), Change::Added, by, added_at)?;
                Ok(Machine { id, name, role, unit, stations, expires_at, revoked: false })
            })
            .await?;
        Ok((machine, text))
    }

    /// The program whose token this is, while it holds.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_machine(&self, token: &str) -> Result<Option<Machine>> {
        let row: Option<MachineRow> = sqlx::query_as(
            "select id, name, role, unit, expires_ms, revoked, stations from token
             where digest = $1 and revoked = 0 and expires_ms > $2",
        )
        .bind(secret::digest(token).to_vec())
        .bind(self.clock.now().as_millisecond())
        .fetch_optional(&self.account_readers)
        .await
        .map_err(read_error)?;
        row.map(machine).transpose()
    }

    /// Every token that was ever made.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_machines(&self) -> Result<Vec<Machine>> {
        let rows: Vec<MachineRow> = sqlx::query_as(
            "select id, name, role, unit, expires_ms, revoked, stations from token order by revoked, id",
        )
        .fetch_all(&self.account_readers)
        .await
        .map_err(read_error)?;
        rows.into_iter().map(machine).collect()
    }

    /// Shuts a phone or a token out, at once.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn revoke(&self, id: String, by: String) -> Result<()> {
        let now = self.clock.now();
        self.writer
            .run(move |tx| {
                let phone: Option<(String,)> = tx.find("select name from phone where id = ?1", (&id,))?;
                if let Some((name,)) = phone {
                    tx.exec("update phone set revoked = 1 where id = ?1", (&id,))?;
                    tx.exec("delete from session where phone = ?1", (&id,))?;
                    return say(tx, &id, &name, (Role::Patrol, None), Change::Disabled, by, now);
                }
                let token: Option<(String, String, Option<String>)> =
                    tx.find("select name, role, unit from token where id = ?1", (&id,))?;
                let (name, role, unit) =
                    token.ok_or_else(|| Error::NotFound(format!("phone or token {id}")))?;
                tx.exec("update token set revoked = 1 where id = ?1", (&id,))?;
                say(tx, &id, &name, (role.parse()?, unit), Change::Disabled, by, now)
            })
            .await
    }
}

type MachineRow = (String, String, String, Option<String>, i64, bool, Option<String>);

fn machine((id, name, role, unit, expires, revoked, stations): MachineRow) -> Result<Machine> {
    let role = role.parse().map_err(|_| Error::Internal(format!("token {id} has no known role")))?;
    let stations = stations.map(|bound| serde_json::from_str(&bound)).transpose();
    // What does not read binds to nothing: then the token is refused.
    let stations = stations.map_err(|e| Error::Internal(format!("token {id}: stations: {e}")))?;
    Ok(Machine { id, name, role, unit, stations, expires_at: from_ms(expires), revoked })
}

/// Enrols a phone.
pub(super) fn add_phone(
    tx: &mut Tx<'_>,
    name: &str,
    digest: [u8; 32],
    by: String,
    now: Timestamp,
) -> Result<Phone> {
    let id = next_id(tx, "phone")?;
    tx.exec(
        "insert into phone (id, name, token, added_ms) values (?1, ?2, ?3, ?4)",
        params![id, name, digest, now.as_millisecond()],
    )?;
    say(tx, &id, name, (Role::Patrol, None), Change::Added, by, now)?;
    Ok(Phone { id, name: name.to_owned(), added_at: now, revoked: false })
}

fn next_id(tx: &Tx<'_>, kind: &str) -> Result<String> {
    let sql = format!("select count(*) from {kind}");
    let (known,): (i64,) = tx.row(&sql, ())?;
    Ok(format!("{kind}-{}", known + 1))
}

fn say(
    tx: &mut Tx<'_>,
    id: &str,
    name: &str,
    (role, unit): (Role, Option<String>),
    change: Change,
    by: String,
    now: Timestamp,
) -> Result<()> {
    let body = AccountBody { name: name.to_owned(), role, unit, login: None, disabled: false };
    append_account(tx, id, change, &body, by, now).map(|_| ())
}
