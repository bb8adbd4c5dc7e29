-- A voice note whose bytes have come, sealed under its hash in the data directory.
create table voice (
  sha256 blob primary key,
  entry integer not null references entry (idx),
  media_type text not null,
  bytes integer not null,
  duration_s integer
) strict, without rowid;
create trigger voice_no_update before update on voice begin select raise(abort, 'evidence is append-only'); end;
create trigger voice_no_delete before delete on voice begin select raise(abort, 'evidence is append-only'); end;
create trigger voice_no_replace before insert on voice
when exists (select 1 from voice where sha256 = new.sha256)
begin select raise(abort, 'evidence is append-only'); end;

-- The voice note that the newest version names. Few reports have one: an index of these alone.
alter table sighting add column voice blob;
create index sighting_voice on sighting (voice) where voice is not null;
