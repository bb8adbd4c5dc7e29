-- Wrong one-time codes of an account on one day (北京时间, days since 1970): beyond so many none is taken.
alter table account add column codes_day integer not null default 0;
alter table account add column codes_wrong integer not null default 0;
