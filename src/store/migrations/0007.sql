-- Who saw what within the last hour is looked up before each access.
create index entry_access on entry (received_ms) where kind = 'access';

-- Reports whose originals and voice note a supervisor has disclosed to the responsible unit.
create table disclosure (
  report blob primary key,
  entry integer not null references entry (idx)
) strict, without rowid;
create trigger disclosure_no_update before update on disclosure begin select raise(abort, 'evidence is append-only'); end;
create trigger disclosure_no_delete before delete on disclosure begin select raise(abort, 'evidence is append-only'); end;
create trigger disclosure_no_replace before insert on disclosure
when exists (select 1 from disclosure where report = new.report)
begin select raise(abort, 'evidence is append-only'); end;

-- A sensor's token may be bound to stations: their codes as a JSON array.
alter table token add column stations text;
