-- Dead letters under an entry: `pos` is the place among those of one commit.
drop trigger dead_letter_no_update;
alter table dead_letter add column entry integer references entry (idx);
alter table dead_letter add column pos integer;
create index dead_letter_entry on dead_letter (entry, pos);
-- One written before this has no entry yet and may be given one, once.
create trigger dead_letter_no_update before update on dead_letter when old.entry is not null
begin select raise(abort, 'evidence is append-only'); end;

create index erasure_target on erasure (target, name);

-- Where a record lay goes with the record, in the transaction that adds the erasure's entry.
drop trigger geotag_no_delete;
create trigger geotag_no_delete before delete on geotag
when not exists (
  select 1 from erasure e
  where e.target = old.entry and e.name = 'record' and e.entry = (select max(idx) from entry)
)
begin select raise(abort, 'a geotag goes only with its record'); end;
