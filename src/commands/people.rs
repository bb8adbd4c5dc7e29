//! `jijia people`: who may sign in, from the shell. The first administrator, and the way back in when nobody can.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use clap::Subcommand;
use jiff::SignedDuration;
use jijia::clock::Clock;
use jijia::config::{Config, TlsMode};
use jijia::error::{Error, Result};
use jijia::evidence::entry::SHELL;
use jijia::people::{AccountBody, Role, check_account, check_name, check_unit, secret};
use jijia::store::people::{NewMachine, Purpose, Secret};
use jijia::store::{Opener, Store};
use jijia::web::LINK_LIFETIME;

use super::say;

/// `jijia people …`.
#[derive(Subcommand)]
pub enum PeopleCommand {
    /// List people, phones and tokens.
    List,
    /// Add a person.
    Add {
        /// As colleagues call them.
        #[arg(long)]
        name: String,
        /// patrol, supervisor, liaison, unit, admin, viewer.
        #[arg(long)]
        role: String,
        /// Code of the unit, for the role `unit`.
        #[arg(long)]
        unit: Option<String>,
        /// What they sign in with at a desk.
        #[arg(long)]
        login: Option<String>,
    },
    /// Make a link by which a person sets the password, and a second factor where there is none, within half an hour.
    Invite {
        /// p-03.
        id: String,
    },
    /// Take the second factor away (the phone is lost); the next link sets another.
    DropTotp {
        /// p-03.
        id: String,
    },
    /// Take the right to sign in; every session ends.
    Disable {
        /// p-03.
        id: String,
    },
    /// Give it back.
    Enable {
        /// p-03.
        id: String,
    },
    /// Give a patrol person a PIN for shared phones, read from standard input; with it they choose one of their own.
    Pin {
        /// p-03.
        id: String,
    },
    /// Make a link that enrols a shared phone, within half an hour.
    Phone {
        /// What it says on its back.
        #[arg(long)]
        name: String,
    },
    /// Make a token for a program; printed this once.
    Token {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// machine, sensor, monitor, viewer, supervisor, …
        #[arg(long, default_value = "machine")]
        role: String,
        /// Code of the unit, for the role `unit`.
        #[arg(long)]
        unit: Option<String>,
        /// Station that it may send of, with `--role sensor`; may be repeated. Without any: all.
        #[arg(long, value_name = "CODE")]
        station: Vec<String>,
        /// Days until it ends.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=400))]
        days: u32,
    },
    /// Shut out a phone or a token.
    Revoke {
        /// phone-2, token-1.
        id: String,
    },
}

/// `jijia people …`.
pub async fn run(command: PeopleCommand, config: &Config) -> Result<()> {
    let store = Store::open(&config.data.dir, Opener::Tool, Clock::System).await?;
    let by = SHELL.to_owned();
    match command {
        PeopleCommand::List => list(&store).await,
        PeopleCommand::Add { name, role, unit, login } => {
            let body = AccountBody { name, role: role.parse()?, unit, login, disabled: false };
            let account = store.add_account(checked(body, config)?, by).await?;
            say(&format!("{} {}\n", account.id, account.name));
            Ok(())
        }
        PeopleCommand::Invite { id } => invite(&store, config, id).await,
        PeopleCommand::DropTotp { id } => store.set_secret(id, Secret::NoTotp, by).await,
        PeopleCommand::Disable { id } => switch(&store, id, true).await,
        PeopleCommand::Enable { id } => switch(&store, id, false).await,
        PeopleCommand::Pin { id } => {
            let pin = std::io::read_to_string(std::io::stdin())?;
            secret::check_pin("pin", pin.trim())?;
            let pin = Secret::Pin(secret::hash(pin.trim())?);
            store.set_secret(id, pin, by).await
        }
        PeopleCommand::Phone { name } => {
            check_name("name", &name)?;
            let code = store.add_invite(Purpose::Phone, None, Some(name), LINK_LIFETIME, SHELL).await?;
            show_link(&format!("{}/m#enrol={code}", base_url(config, config.server.listen)))
        }
        PeopleCommand::Token { name, role, unit, station, days } => {
            let role = role.parse()?;
            check_name("name", &name)?;
            check_unit(role, unit.as_deref(), &crate::load_place(config)?.units)?;
            let expires_at = store.clock().now() + SignedDuration::from_hours(24 * i64::from(days));
            let stations = Some(station).filter(|all| !all.is_empty());
            let new = NewMachine { name, role, unit, stations, expires_at };
            let (_, token) = store.add_machine(new, by).await?;
            say(&format!("{token}\n"));
            Ok(())
        }
        PeopleCommand::Revoke { id } => store.revoke(id, by).await,
    }
}

fn checked(body: AccountBody, config: &Config) -> Result<AccountBody> {
    let place = crate::load_place(config)?;
    check_account(&body, &place.units)?;
    Ok(body)
}

async fn list(store: &Store) -> Result<()> {
    for a in store.list_accounts().await? {
        let login = a.login.unwrap_or_default();
        let off = if a.disabled { "  (disabled)" } else { "" };
        say(&format!("{}  {}  {}  {login}{off}\n", a.id, a.role.as_str(), a.name));
    }
    for p in store.list_phones().await? {
        say(&format!("{}  {}{}\n", p.id, p.name, if p.revoked { "  (shut out)" } else { "" }));
    }
    for m in store.list_machines().await? {
        let off = if m.revoked { "  (shut out)" } else { "" };
        say(&format!("{}  {}  {}  until {}{off}\n", m.id, m.role.as_str(), m.name, m.expires_at));
    }
    Ok(())
}

async fn invite(store: &Store, config: &Config, id: String) -> Result<()> {
    let account = store.find_account(&id).await?;
    let account = account.ok_or_else(|| Error::NotFound(format!("account {id}")))?;
    if account.login.is_none() {
        return Err(Error::Conflict(format!("{id} has no login")));
    }
    let code = store.add_invite(Purpose::Person, Some(id), None, LINK_LIFETIME, SHELL).await?;
    show_link(&format!("{}/join#{code}", base_url(config, config.server.listen)))
}

async fn switch(store: &Store, id: String, disabled: bool) -> Result<()> {
    let known = store.find_account(&id).await?;
    let a = known.ok_or_else(|| Error::NotFound(format!("account {id}")))?;
    let body = AccountBody { name: a.name, role: a.role, unit: a.unit, login: a.login, disabled };
    store.change_account(id, body, SHELL.to_owned()).await
}

/// Where nobody governs yet: makes the configured administrator, or a link with which one is made. The link goes to
/// standard output and into a file of its own, never into the log of the process.
pub async fn first_admin(config: &Config, store: &Store, address: SocketAddr) -> Result<()> {
    if store.has_admin().await? {
        // The link was used; it must not lie about.
        return store.keep_setup_link(None).await.map(|_| ());
    }
    if !config.people.admin_login.is_empty() {
        let password = config.people.admin_password.reveal().to_owned();
        secret::check_password(&password, &[&config.people.admin_login])
            .map_err(|e| e.under("people.admin_password"))?;
        let login = Some(config.people.admin_login.clone());
        let name = config.people.admin_login.clone();
        let body = AccountBody { name, role: Role::Admin, unit: None, login, disabled: false };
        check_account(&body, &[]).map_err(|e| e.under("people.admin"))?;
        store.add_first_admin(body, secret::hash(&password)?).await?;
        tracing::info!(
            "made the first administrator of people.admin_login; the first sign-in sets the second factor"
        );
        return Ok(());
    }
    let code = store.add_invite(Purpose::Setup, None, None, LINK_LIFETIME, SHELL).await?;
    let link = format!("{}/join#{code}", base_url(config, address));
    let path = store.keep_setup_link(Some(link.clone())).await?;
    tracing::info!(file = %path.display(), "nobody governs yet: open the setup link within 30 minutes (it is in this file)");
    show_link(&link)
}

/// The address as text and as a QR code of block characters, for a phone before the screen.
fn show_link(link: &str) -> Result<()> {
    let drawn = jijia::picture::code_in_blocks(link)?;
    say(&format!("{drawn}\n{link}\n（30 分钟内有效，只能用一次）\n"));
    Ok(())
}

/// What people open: the configured address; else where the service listens, by the address that the neighbours see.
fn base_url(config: &Config, at: SocketAddr) -> String {
    let url = config.server.public_url.trim_end_matches('/');
    if !url.is_empty() {
        return url.to_owned();
    }
    let ip = if at.ip().is_unspecified() { own_address().unwrap_or(at.ip()) } else { at.ip() };
    let scheme = if config.tls.mode == TlsMode::Off { "http" } else { "https" };
    format!("{scheme}://{}", SocketAddr::new(ip, at.port()))
}

/// This machine's address towards the outside; nothing is sent.
pub fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // TEST-NET-1 (RFC 5737): no such host, and the system chooses the way to it all the same.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|a| a.ip())
}
