-- A row that replaces another (`insert or replace`) fires no delete trigger; so its insertion is refused before. A
-- sighting's row, a cursor and the like are derived and may be replaced.
create trigger entry_no_replace before insert on entry
when exists (select 1 from entry where idx = new.idx)
begin select raise(abort, 'evidence is append-only'); end;
create trigger payload_no_replace before insert on payload
when exists (select 1 from payload where entry = new.entry and name = new.name)
begin select raise(abort, 'evidence is append-only'); end;
create trigger submission_no_replace before insert on submission
when exists (select 1 from submission where id = new.id)
begin select raise(abort, 'evidence is append-only'); end;
create trigger report_version_no_replace before insert on report_version
when exists (select 1 from report_version where report = new.report and entry = new.entry)
begin select raise(abort, 'evidence is append-only'); end;
create trigger photo_no_replace before insert on photo
when exists (select 1 from photo where sha256 = new.sha256)
begin select raise(abort, 'evidence is append-only'); end;
create trigger datastream_no_replace before insert on datastream
when exists (
  select 1 from datastream
  where id = new.id or (station, property, unit, processing) = (new.station, new.property, new.unit, new.processing)
)
begin select raise(abort, 'evidence is append-only'); end;
-- Rows come by the thousand in one transaction. A statement that may abort keeps a journal of its own, and SQLite walks
-- all of it at the end of each; one that may only fail keeps none, and a single row leaves nothing behind either way.
create trigger observation_no_replace before insert on observation
when exists (select 1 from observation where (ds, t, entry, pos) = (new.ds, new.t, new.entry, new.pos))
begin select raise(fail, 'evidence is append-only'); end;
create trigger erasure_no_replace before insert on erasure
when exists (select 1 from erasure where entry = new.entry)
begin select raise(abort, 'evidence is append-only'); end;
create trigger patrol_no_replace before insert on patrol
when exists (select 1 from patrol where id = new.id)
begin select raise(abort, 'evidence is append-only'); end;
create trigger patrol_sector_no_replace before insert on patrol_sector
when exists (select 1 from patrol_sector where patrol = new.patrol and sector = new.sector)
begin select raise(abort, 'evidence is append-only'); end;
create trigger dead_letter_no_replace before insert on dead_letter
when exists (select 1 from dead_letter where id = new.id)
begin select raise(abort, 'evidence is append-only'); end;
-- A result made again by the same place is the same; the first row stays.
create trigger geotag_no_replace before insert on geotag
when exists (select 1 from geotag where entry = new.entry and place_hash = new.place_hash)
begin select raise(ignore); end;

-- A row that names an erasure must stand under an entry that is one.
create trigger erasure_of_its_kind before insert on erasure
when not exists (select 1 from entry where idx = new.entry and kind = 'erasure')
begin select raise(abort, 'an erasure stands under an entry of its kind'); end;
