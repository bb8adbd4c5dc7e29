//! People: who may do what, and how they show who they are. Plain functions over plain values; the store keeps them, the
//! web asks for them.
#![doc = include_str!("signing-in.md")]

pub mod codes;
pub mod role;
pub mod secret;
pub mod throttle;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::lake::Unit;
pub use role::{Reach, Role, Rule};

/// Longest name of a person, a phone or a machine, characters.
const NAME_MAX: usize = 40;
/// Longest name to sign in with, characters.
pub const LOGIN_MAX: usize = 40;

/// Somebody with an account. The name is personal; the log knows only the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// Opaque, for ever: `p-03`.
    pub id: String,
    /// As colleagues call them.
    pub name: String,
    /// What they are here.
    pub role: Role,
    /// Code of the unit that a [`Role::Unit`] speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What they sign in with at a desk; patrol staff may have a PIN only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// A password is set.
    pub has_password: bool,
    /// A PIN for shared phones is set.
    pub has_pin: bool,
    /// The second factor is set.
    pub has_totp: bool,
    /// So many one-time codes were wrong today that they are taken from known browsers only.
    pub codes_locked: bool,
    /// May not sign in any more.
    pub disabled: bool,
}

/// A person to be added, or what is to become of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountBody {
    /// As colleagues call them; 1 to 40 characters.
    pub name: String,
    /// What they are here.
    pub role: Role,
    /// Code of the unit that a `unit` speaks for; no other role has one.
    #[serde(default)]
    pub unit: Option<String>,
    /// What they sign in with at a desk: 3 to 40 small letters, digits, `.`, `-`, `_`. Without one only by PIN.
    #[serde(default)]
    pub login: Option<String>,
    /// May not sign in any more; every session ends.
    #[serde(default)]
    pub disabled: bool,
}

/// Checks what does not need the store; `units` are those of the place.
///
/// # Errors
/// `Invalid` naming the field and what is allowed.
pub fn check_account(body: &AccountBody, units: &[Unit]) -> Result<()> {
    check_name("name", &body.name)?;
    if !body.role.is_of_person() {
        let allowed: Vec<_> = Role::ALL.into_iter().filter(|r| r.is_of_person()).map(Role::as_str).collect();
        return Err(Error::invalid("role", format!("allowed for a person: {}", allowed.join(", "))));
    }
    check_unit(body.role, body.unit.as_deref(), units)?;
    match &body.login {
        Some(login) => check_login(login),
        None if body.role == Role::Patrol => Ok(()),
        None => Err(Error::invalid("login", "is missing: only patrol staff go without one (by PIN)")),
    }
}

/// Checks that whoever speaks for a unit, and nobody else, names one of the place's.
///
/// # Errors
/// `Invalid` at `unit`.
pub fn check_unit(role: Role, unit: Option<&str>, units: &[Unit]) -> Result<()> {
    match (unit, role) {
        (None, Role::Unit) => Err(Error::invalid("unit", "is missing: a unit's account names it")),
        (Some(_), role) if role != Role::Unit => {
            Err(Error::invalid("unit", "belongs to the role `unit`; allowed here: none"))
        }
        (Some(code), _) if !units.iter().any(|u| u.code == code) => {
            let known: Vec<&str> = units.iter().map(|u| u.code.as_str()).collect();
            let message = format!("`{code}` is not known; allowed: {}", known.join(", "));
            Err(Error::invalid("unit", message))
        }
        _ => Ok(()),
    }
}

/// Checks a name that people read.
///
/// # Errors
/// `Invalid` at `field`.
pub fn check_name(field: &str, name: &str) -> Result<()> {
    let good = !name.trim().is_empty() && name.trim() == name && name.chars().count() <= NAME_MAX;
    if good && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("allowed: 1 to {NAME_MAX} characters, no space at the ends")))
}

fn check_login(login: &str) -> Result<()> {
    let of_its_letters =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    if (3..=LOGIN_MAX).contains(&login.len()) && login.chars().all(of_its_letters) {
        return Ok(());
    }
    Err(Error::invalid("login", format!("allowed: 3 to {LOGIN_MAX} of a-z, 0-9, `.`, `-`, `_`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(role: Role) -> AccountBody {
        let login = Some("li.jianguo".to_owned());
        AccountBody { name: "李建国".into(), role, unit: None, login, disabled: false }
    }

    #[test]
    fn the_document_says_what_holds() {
        let document = include_str!("signing-in.md").split_whitespace().collect::<Vec<_>>().join(" ");
        let (turn, slips, first, [address, known], patience) = throttle::NUMBERS;
        for said in [
            format!("once in {} s by strangers", turn.as_secs()),
            format!("{slips} slips free; after that it waits {} s", first.as_secs()),
            format!("at most {} s, for whatever account", address.as_secs()),
            format!(
                "at most {} s for its turn, and after failures of its own at most {} s",
                patience.as_secs(),
                known.as_secs()
            ),
            format!("After {} wrong codes of a day", codes::STRANGERS_MAX),
            format!("{} wrong codes of a day nobody's", codes::ALL_MAX),
            format!("{} to {} characters, any", secret::PASSWORD_MIN, secret::PASSWORD_MAX),
            format!("fewer than {} letters and digits left", secret::OWN_MIN),
            format!("a code by chance, {} bits", 8 * secret::TOKEN_BYTES),
        ] {
            assert!(document.contains(&said), "{said}");
        }
        assert_eq!(secret::GUESSES_MIN, 100_000_000);
        let (_, list) = document.split_once("words are taken out: ").unwrap();
        let (list, _) = list.split_once(", the names of").unwrap();
        let words: Vec<&str> = list.split(' ').map(|w| w.trim_matches('`')).collect();
        assert_eq!(words, secret::CONTEXT, "the words that no password may lean on");
    }

    #[test]
    fn a_wrong_account_is_refused_by_the_name_of_its_field() {
        let units = ["CT", "SX"].map(|code| Unit { code: code.into(), name: code.into() });
        let field = |body: AccountBody| match check_account(&body, &units) {
            Ok(()) => String::new(),
            Err(Error::Invalid { field, .. }) => field,
            Err(other) => panic!("{other}"),
        };
        for role in Role::ALL.into_iter().filter(|r| r.is_of_person()) {
            let unit = (role == Role::Unit).then(|| "CT".to_owned());
            assert_eq!(field(AccountBody { unit, ..body(role) }), "");
        }
        assert_eq!(field(AccountBody { login: None, ..body(Role::Patrol) }), "");
        assert_eq!(field(AccountBody { login: None, ..body(Role::Supervisor) }), "login");
        assert_eq!(field(body(Role::Unit)), "unit");
        assert_eq!(field(AccountBody { unit: Some("XX".into()), ..body(Role::Unit) }), "unit");
        assert_eq!(field(AccountBody { unit: Some("CT".into()), ..body(Role::Admin) }), "unit");
        for name in ["", " 李", "李\n", &"长".repeat(41)] {
            assert_eq!(field(AccountBody { name: name.into(), ..body(Role::Admin) }), "name", "{name:?}");
        }
        for login in ["ab", "Li", "李建国", "li jianguo", &"a".repeat(41)] {
            assert_eq!(field(AccountBody { login: Some(login.into()), ..body(Role::Admin) }), "login");
        }
    }
}
