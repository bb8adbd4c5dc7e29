-- The log as it is published. Tiles follow from the entries and may be made again. Checkpoints follow from them and from
-- the key; a lost one is signed again, byte for byte, as long as the guard file outside this directory agrees.

-- A tile of hashes at its widest so far (C2SP tlog-tiles): up to 256 of 32 bytes. A narrower one is its beginning.
create table tile (
  level integer not null,
  n integer not null,
  hashes blob not null,
  primary key (level, n)
) strict;

-- A signed head without its cosignatures; `key` is the id of the key that signed it. Kept are the newest, the last of
-- each key (a reader follows the keys along them), and those that are cosigned.
create table checkpoint (
  size integer primary key,
  key integer not null,
  note text not null
) strict;

-- The newest signature line of each witness, over the checkpoint of this size; `witness` is its name and key id.
create table cosignature (
  witness text primary key,
  size integer not null references checkpoint (size),
  line text not null
) strict, without rowid;
create index cosignature_size on cosignature (size);
