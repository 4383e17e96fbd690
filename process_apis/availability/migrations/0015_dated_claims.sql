-- Promises on supply: state `promised` until their goods come in, then `reserved` or `allocated`. They count neither in
-- `reserved` nor in `allocated` of their stock line, but in `waiting`; whoever changes one holds the line's lock.
alter table availability.claim drop constraint claim_state_check;
alter table availability.claim add constraint claim_state_check
    check (state in ('reserved', 'allocated', 'fulfilled', 'released', 'promised'));
alter table availability.claim drop constraint claim_commitment_check;
alter table availability.claim add constraint claim_commitment_check
    check (commitment in ('soft', 'firm', 'handed', 'ahead'));
-- Promised for `due`; `expected` is when supply will cover it by what is known, null when none will. `told` counts the
-- events of the claim itself.
alter table availability.claim add column due date;
alter table availability.claim add column expected date;
alter table availability.claim add column told integer not null default 0;
create index claim_promised on availability.claim (tenant, item, location, owner) where state = 'promised';
create index claim_promised_expiry on availability.claim (expires_at)
    where state = 'promised' and expires_at is not null;
create index claim_late on availability.claim (tenant, claim)
    where state = 'promised' and (expected is null or expected > due);

alter table availability.stock_line add column waiting numeric not null default 0 check (waiting >= 0);
