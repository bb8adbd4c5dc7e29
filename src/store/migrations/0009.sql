-- The newest signed head that each phone, and each account at a desk, has said it keeps and found continued. No evidence:
-- that lies on the phones. Named on papers, and what a warning goes by.
create table seen_head (
  holder text primary key,
  on_phone integer not null check (on_phone in (0, 1)),
  origin text not null,
  size integer not null,
  seen_ms integer not null
) strict, without rowid;

-- Heads signed by this log's keys that are not heads of this log: proof that there were two.
create table forked_head (
  note text primary key,
  holder text not null,
  seen_ms integer not null
) strict, without rowid;
