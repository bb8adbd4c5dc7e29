-- A PIN that somebody else has set opens nothing but the choice of one's own. Those there are were all set so.
alter table account add column pin_given integer not null default 0;
update account set pin_given = 1 where pin is not null;
-- Up to which entry the person knows what others did to the account.
alter table account add column told integer not null default -1;
update account set told = (select coalesce(max(idx), -1) from entry);
