-- Who walked goes from the patrol's row with its payload, in the transaction that adds the erasure's entry; the rest stays.
drop trigger patrol_no_update;
create trigger patrol_no_update before update on patrol
when not (
  new.person = '' and (new.id, new.entry, new.started_ms, new.ended_ms) = (old.id, old.entry, old.started_ms, old.ended_ms)
  and exists (
    select 1 from erasure e
    where e.target = old.entry and e.name = 'person' and e.entry = (select max(idx) from entry)
  )
)
begin select raise(abort, 'evidence is append-only'); end;
