//! Roles, and how far each reaches through a door. Which door has which rule stands in one table (`web::doors`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 巡查员.
    Patrol,
    /// 监管员.
    Supervisor,
    /// 联络员.
    Liaison,
    /// 责任单位.
    Unit,
    /// 管理员.
    Admin,
    /// 只读.
    Viewer,
    /// 设备: a program with a token.
    Machine,
    /// 核对方: a program with a token that follows the log's entries, and sees nothing else.
    Monitor,
    /// 手机: an enrolled phone on which nobody is signed in. It files what was seen and shows nothing of anybody.
    Phone,
    /// 传感器: a program with a token that sends observations, of its stations where it is bound to some, and nothing else.
    Sensor,
}

impl Role {
    /// All, in the order of the table's columns.
    pub const ALL: [Self; 10] = [
        Self::Patrol,
        Self::Supervisor,
        Self::Liaison,
        Self::Unit,
        Self::Admin,
        Self::Viewer,
        Self::Machine,
        Self::Monitor,
        Self::Phone,
        Self::Sensor,
    ];

    /// The word in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patrol => "patrol",
            Self::Supervisor => "supervisor",
            Self::Liaison => "liaison",
            Self::Unit => "unit",
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Machine => "machine",
            Self::Monitor => "monitor",
            Self::Phone => "phone",
            Self::Sensor => "sensor",
        }
    }

    /// A person can have it; the others are of programs and phones.
    #[must_use]
    pub fn is_of_person(self) -> bool {
        !matches!(self, Self::Machine | Self::Monitor | Self::Phone | Self::Sensor)
    }

    /// Must show a second factor: whoever judges, exports or governs (OWASP ASVS 5.0, 6.3.3).
    #[must_use]
    pub fn needs_totp(self) -> bool {
        matches!(self, Self::Supervisor | Self::Liaison | Self::Admin)
    }

    fn column(self) -> usize {
        self as usize
    }
}

impl std::str::FromStr for Role {
    type Err = crate::error::Error;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|r| r.as_str() == s).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            crate::error::Error::invalid("role", format!("`{s}` is not known; allowed: {all}"))
        })
    }
}

/// How far a role reaches through a door: of whose things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Not at all.
    No,
    /// What the same person submitted.
    Own,
    /// What concerns the own unit.
    Unit,
    /// Everything.
    All,
}

/// Who may pass a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anybody: nothing behind it is secret.
    Public,
    /// These roles, each so far; in the order of [`Role::ALL`].
    Roles([Reach; 10]),
}

impl Rule {
    /// How far `role` reaches.
    #[must_use]
    pub fn reach(&self, role: Role) -> Reach {
        match self {
            Self::Public => Reach::All,
            Self::Roles(reaches) => reaches[role.column()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_in_the_order_of_the_roles() {
        for (n, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role.column(), n);
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
        assert!("root".parse::<Role>().is_err());
    }
}
