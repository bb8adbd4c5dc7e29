//! What an actor may see, and for whom they may speak: every handler, page and document asks here. Which role passes which
//! route, and how far, stands in `doors`.

use super::access::{Actor, MayName};
use super::app::App;
use super::bundles::no_bundle;
use super::doors::SEES_ORIGINALS;
use super::sealed::has_not_come;
use crate::document::bundle::Kept;
use crate::error::{Error, Result};
use crate::evidence::bundle::Photos;
use crate::evidence::entry::Sealed;
use crate::evidence::timeline::{Filter, Sighting};
use crate::patrol::report::check_sha256;
use crate::people::{Reach, Role};
use crate::store::people::Looked;
use crate::store::{SealedFile, erased};

impl Actor {
    /// Narrows a timeline's filter to what this one may see.
    ///
    /// # Errors
    /// `Forbidden` for another unit's.
    pub fn narrow(&self, filter: &mut Filter) -> Result<()> {
        if self.reach == Reach::All {
            return Ok(());
        }
        let own = self.unit.clone().filter(|_| self.reach == Reach::Unit);
        let own = own.ok_or_else(|| Error::Forbidden("this is for those who see the whole lake".into()))?;
        match filter.unit.as_deref() {
            None => filter.unit = Some(own),
            Some(asked) if asked == own => {}
            Some(asked) => return Err(Error::Forbidden(format!("{asked} is another unit; allowed: {own}"))),
        }
        Ok(())
    }

    /// Whether this one may see a report; else it is as if there were none.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn check_report(&self, sighting: &Sighting) -> Result<()> {
        let sees = match self.reach {
            Reach::All => true,
            Reach::Unit => {
                self.unit.is_some() && sighting.unit.as_ref().map(|u| &u.code) == self.unit.as_ref()
            }
            Reach::Own => self.id == sighting.person,
            Reach::No => false,
        };
        if sees { Ok(()) } else { Err(Error::NotFound(format!("report {}", sighting.id))) }
    }

    /// A photo of which this one may see the viewers' copy.
    ///
    /// # Errors
    /// `NotFound`, `Gone`; `Internal` if the database cannot be read.
    pub async fn find_photo(&self, app: &App, sha256: &str) -> Result<SealedFile> {
        self.find_sealed(app, Sealed::Photo, sha256, false).await
    }

    /// A photo or a voice note whose sealed bytes this one may have: of a unit those that a supervisor has disclosed to it.
    ///
    /// # Errors
    /// As [`Actor::find_photo`].
    pub async fn find_original(&self, app: &App, kind: Sealed, sha256: &str) -> Result<SealedFile> {
        self.find_sealed(app, kind, sha256, true).await
    }

    async fn find_sealed(&self, app: &App, kind: Sealed, sha256: &str, original: bool) -> Result<SealedFile> {
        check_sha256(sha256).map_err(|_| Error::NotFound(format!("{kind} {sha256}")))?;
        if self.reach == Reach::Unit {
            let owners = app.store.list_owners_of(kind, sha256).await?;
            let is_own = |code: &str| {
                self.unit.is_some()
                    && app.place.outfalls.iter().any(|o| o.code == code && o.unit == self.unit)
            };
            if !owners.iter().any(|o| is_own(&o.outfall) && (o.disclosed || !original)) {
                return Err(has_not_come(kind, sha256));
            }
        }
        let found = app.store.find_sealed(kind, sha256).await?;
        let file = found.ok_or_else(|| has_not_come(kind, sha256))?;
        if file.erased { Err(erased(kind, sha256)) } else { Ok(file) }
    }

    /// Whether this one, who may see the report, may also have its originals and voice note.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn has_originals(&self, app: &App, sighting: &Sighting) -> Result<bool> {
        match SEES_ORIGINALS.reach(self.role) {
            Reach::All => Ok(true),
            Reach::Unit => app.store.is_disclosed(sighting.id).await,
            Reach::Own | Reach::No => Ok(false),
        }
    }

    /// Whether this one may have a bundle made with such photos.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn check_photos(&self, photos: Photos) -> Result<()> {
        if photos == Photos::Originals && SEES_ORIGINALS.reach(self.role) != Reach::All {
            let role = self.role.as_str();
            return Err(Error::Forbidden(format!(
                "the role `{role}` gets no originals in bundles; ask for copies"
            )));
        }
        Ok(())
    }

    /// Whether this one may fetch a kept bundle: as far as they reach now, not when it was made.
    ///
    /// # Errors
    /// `NotFound`, as if there were none.
    pub fn check_bundle(&self, id: &str, kept: &Kept) -> Result<()> {
        let reaches = match self.reach {
            Reach::All => true,
            Reach::Unit => self.unit.is_some() && kept.unit == self.unit,
            Reach::Own | Reach::No => false,
        };
        if reaches && self.check_photos(kept.photos).is_ok() {
            return Ok(());
        }
        Err(no_bundle(id))
    }

    /// Whether this one may send what `person` saw: themselves; from a shared phone everybody who walks, since it sends what
    /// lies on it; a program everybody.
    ///
    /// # Errors
    /// `Invalid` at `person.id`; `Internal` if the database cannot be read.
    pub async fn check_may_name(&self, app: &App, person: &str) -> Result<()> {
        let (may, allowed) = match self.may_name {
            MayName::Anybody => (true, ""),
            MayName::Self_ => (self.id == person, self.id.as_str()),
            // Also who may not sign in any more: what lies on the phone was seen before.
            MayName::Phone => {
                let account = app.store.find_account(person).await?;
                (account.is_some_and(|a| a.role == Role::Patrol), "the patrol persons of this phone")
            }
        };
        if may {
            return Ok(());
        }
        Err(Error::invalid("person.id", format!("`{person}` is somebody else; allowed: {allowed}")))
    }

    /// Whether this one may correct a report, as `person`: its author who is signed in, a supervisor or an administrator in
    /// their own name, a demo in any.
    ///
    /// # Errors
    /// `NotFound` for a report they may not see; `Invalid` at `person.id`.
    pub fn check_correction(&self, sighting: &Sighting, person: &str) -> Result<()> {
        self.check_report(sighting)?;
        if self.may_name == MayName::Anybody || self.id == person {
            return Ok(());
        }
        let allowed = &self.id;
        Err(Error::invalid("person.id", format!("`{person}` is not who is signed in; allowed: {allowed}")))
    }

    /// Whether this one may send observations of a station.
    ///
    /// # Errors
    /// `Invalid` at `field`.
    pub fn check_station(&self, field: &str, station: &str) -> Result<()> {
        match &self.stations {
            Some(bound) if !bound.iter().any(|code| code == station) => {
                let allowed = bound.join(", ");
                Err(Error::invalid(field, format!("`{station}` is not of this token; allowed: {allowed}")))
            }
            _ => Ok(()),
        }
    }

    /// The name behind a person's id, for those who may see names; that it was shown is an entry of the log.
    ///
    /// # Errors
    /// As every write: then it is not shown.
    pub async fn name_of(&self, app: &App, person: &str) -> Result<Option<String>> {
        if !matches!(self.role, Role::Supervisor | Role::Liaison | Role::Admin) {
            return Ok(None);
        }
        let Some(account) = app.store.find_account(person).await? else { return Ok(None) };
        app.store.add_access(self.id.clone(), Looked::Name, account.id).await?;
        Ok(Some(account.name))
    }
}
