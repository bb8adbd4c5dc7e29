-- Wrong one-time codes of an account on one day (北京时间, days since 1970): beyond so many none is taken.
alter table account add column codes_day integer not null default 0;
alter table account add column codes_wrong integer not null default 0;

-- What of a source went to the dead letters today, bytes; beyond the quota they are cut. `cut` counts those that were, until
-- a person has looked at the list.
create table dead_letter_quota (
  source text primary key,
  day integer not null,
  bytes integer not null,
  cut integer not null default 0
) strict, without rowid;
