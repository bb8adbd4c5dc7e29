-- People. Not evidence: they change, and the log keeps an entry of every change. Nothing here turns back into a secret,
-- but for the key of one-time codes, which must be known to check them.
create table account (
  id text primary key,
  name text not null,
  role text not null,
  unit text,
  login text unique,
  password text,
  pin text,
  totp blob,
  -- The newest time step whose code was used: none is taken twice.
  totp_used integer not null default 0,
  disabled integer not null default 0
) strict, without rowid;

-- A shared phone that was enrolled.
create table phone (
  id text primary key,
  name text not null,
  token blob not null unique,
  added_ms integer not null,
  revoked integer not null default 0
) strict, without rowid;

-- A program's token; it acts in a role.
create table token (
  id text primary key,
  name text not null,
  role text not null,
  unit text,
  digest blob not null unique,
  added_ms integer not null,
  expires_ms integer not null,
  revoked integer not null default 0
) strict, without rowid;

-- Somebody who is signed in. `phone` where by PIN on a shared one.
create table session (
  digest blob primary key,
  account text not null references account (id),
  phone text references phone (id),
  began_ms integer not null,
  seen_ms integer not null
) strict, without rowid;
create index session_account on session (account);

-- A browser in which an account has signed in before: its tries have a place of their own.
create table known_browser (
  digest blob primary key,
  account text not null references account (id),
  seen_ms integer not null
) strict, without rowid;

-- A link that can be used once, and soon: for the first administrator, for a person's password and second factor, for a
-- phone.
create table invite (
  digest blob primary key,
  purpose text not null,
  account text references account (id),
  name text,
  totp blob,
  expires_ms integer not null
) strict, without rowid;
