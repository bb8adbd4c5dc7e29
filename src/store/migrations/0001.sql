-- Evidence: written once, never changed. The triggers below refuse what the code would never ask.

-- One leaf of the log. `body` is stored verbatim; `leaf` is its RFC 6962 leaf hash.
create table entry (
  idx integer primary key,
  kind text not null,
  received_ms integer not null,
  body blob not null,
  leaf blob not null
) strict;
create index entry_kind on entry (kind, idx);

-- What an entry commits to and may be disclosed or, by an erasure, go: commitment = SHA-256(salt || body).
create table payload (
  entry integer not null references entry (idx),
  name text not null,
  salt blob not null,
  body blob not null,
  primary key (entry, name)
) strict, without rowid;

-- The client's UUID, for ever. The fingerprint of the bytes is the payload `body` of the same entry.
create table submission (
  id blob primary key,
  entry integer not null references entry (idx)
) strict, without rowid;

-- Every version of every report, the first and its corrections.
create table report_version (
  report blob not null,
  entry integer not null references entry (idx),
  action text not null,
  primary key (report, entry)
) strict, without rowid;

-- A photo whose bytes have come, sealed under its hash in the data directory.
create table photo (
  sha256 blob primary key,
  entry integer not null references entry (idx),
  media_type text not null,
  bytes integer not null,
  width integer,
  height integer,
  preview integer not null
) strict, without rowid;

create table datastream (
  id integer primary key,
  station text not null,
  property text not null,
  unit text not null,
  processing text not null,
  unique (station, property, unit, processing)
) strict;

-- One value. `pos` is its place in the batch of `entry`. A second value for the same time stands beside the first.
create table observation (
  ds integer not null,
  t integer not null,
  entry integer not null,
  pos integer not null,
  v real,
  received_text text,
  mark text,
  primary key (ds, t, entry, pos)
) strict, without rowid;
create index observation_entry on observation (entry, pos);

create table erasure (
  entry integer primary key references entry (idx),
  target integer not null references entry (idx),
  name text not null
) strict;

create table patrol (
  id blob primary key,
  entry integer not null references entry (idx),
  person text not null,
  started_ms integer not null,
  ended_ms integer not null
) strict, without rowid;
create index patrol_started on patrol (started_ms);

create table patrol_sector (
  patrol blob not null,
  sector text not null,
  primary key (patrol, sector)
) strict, without rowid;

-- Where a version lies, judged by one place. After a replacement of the place, new rows beside the old.
create table geotag (
  entry integer not null references entry (idx),
  place_hash blob not null,
  result text not null,
  primary key (entry, place_hash)
) strict, without rowid;

create table dead_letter (
  id integer primary key,
  received_ms integer not null,
  source text not null,
  topic text not null,
  reason text not null,
  raw blob not null
) strict;

-- Derived: follows from the tables above and may be made again.

-- The newest state of each report, for filtering and paging.
create table sighting (
  report blob primary key,
  first_entry integer not null,
  head_entry integer not null,
  kind text not null,
  observed_ms integer not null,
  received_ms integer not null,
  person text not null,
  patrol blob,
  outfall text,
  outfall_chosen integer not null,
  sector text,
  lng real,
  lat real,
  place_hash blob not null,
  withdrawn integer not null
) strict, without rowid;
create index sighting_time on sighting (observed_ms, first_entry);
create index sighting_outfall on sighting (outfall, observed_ms, first_entry);
create index sighting_sector on sighting (sector, observed_ms, first_entry);
create index sighting_kind on sighting (kind, observed_ms, first_entry);
create index sighting_patrol on sighting (patrol, observed_ms, first_entry) where patrol is not null;
-- In the order of arrival, so that a new report writes at its end and not on a page of its own.
create index sighting_place on sighting (place_hash, first_entry);

create table report_photo (
  report blob not null,
  seq integer not null,
  sha256 blob not null,
  primary key (report, seq)
) strict, without rowid;
create index report_photo_hash on report_photo (sha256);

-- The head of the log: its size and the roots of its full subtrees, largest first.
create table log_head (
  one integer primary key check (one = 1),
  size integer not null,
  frontier blob not null
) strict;
insert into log_head values (1, 0, x'');

create table cursor (
  name text primary key,
  entry integer not null,
  pos integer not null
) strict, without rowid;

create table meta (
  key text primary key,
  value text not null
) strict, without rowid;

-- Nothing is edited or deleted.
create trigger entry_no_update before update on entry begin select raise(abort, 'evidence is append-only'); end;
create trigger entry_no_delete before delete on entry begin select raise(abort, 'evidence is append-only'); end;
create trigger payload_no_update before update on payload begin select raise(abort, 'evidence is append-only'); end;
-- A payload and its salt may go in the transaction that adds the erasure's entry: then that entry is the newest.
create trigger payload_no_delete before delete on payload
when not exists (
  select 1 from erasure e
  where e.target = old.entry and e.name = old.name and e.entry = (select max(idx) from entry)
)
begin select raise(abort, 'a payload goes only with an erasure entry'); end;
create trigger submission_no_update before update on submission begin select raise(abort, 'evidence is append-only'); end;
create trigger submission_no_delete before delete on submission begin select raise(abort, 'evidence is append-only'); end;
create trigger report_version_no_update before update on report_version begin select raise(abort, 'evidence is append-only'); end;
create trigger report_version_no_delete before delete on report_version begin select raise(abort, 'evidence is append-only'); end;
create trigger photo_no_update before update on photo begin select raise(abort, 'evidence is append-only'); end;
create trigger photo_no_delete before delete on photo begin select raise(abort, 'evidence is append-only'); end;
create trigger datastream_no_update before update on datastream begin select raise(abort, 'evidence is append-only'); end;
create trigger datastream_no_delete before delete on datastream begin select raise(abort, 'evidence is append-only'); end;
create trigger observation_no_update before update on observation begin select raise(abort, 'evidence is append-only'); end;
create trigger observation_no_delete before delete on observation begin select raise(abort, 'evidence is append-only'); end;
create trigger erasure_no_update before update on erasure begin select raise(abort, 'evidence is append-only'); end;
create trigger erasure_no_delete before delete on erasure begin select raise(abort, 'evidence is append-only'); end;
create trigger patrol_no_update before update on patrol begin select raise(abort, 'evidence is append-only'); end;
create trigger patrol_no_delete before delete on patrol begin select raise(abort, 'evidence is append-only'); end;
create trigger patrol_sector_no_update before update on patrol_sector begin select raise(abort, 'evidence is append-only'); end;
create trigger patrol_sector_no_delete before delete on patrol_sector begin select raise(abort, 'evidence is append-only'); end;
create trigger geotag_no_update before update on geotag begin select raise(abort, 'evidence is append-only'); end;
create trigger geotag_no_delete before delete on geotag begin select raise(abort, 'evidence is append-only'); end;
create trigger dead_letter_no_update before update on dead_letter begin select raise(abort, 'evidence is append-only'); end;
create trigger dead_letter_no_delete before delete on dead_letter begin select raise(abort, 'evidence is append-only'); end;
