-- Counts by bin, lot and stock owner; changes of status by owner.

alter table stock_operations.stock_count
    add column owner text not null default 'main',
    -- Bins that whoever counts has to visit; none: wherever the goods lie.
    add column bins jsonb not null default '[]';

alter table stock_operations.count_line
    add column lot text,
    -- Found in the bins: [{"bin", "amount"}].
    add column bins jsonb not null default '[]',
    -- The item group, as tolerances speak of it.
    add column item_group text,
    add column unknown_lot boolean not null default false;
alter table stock_operations.count_line
    drop constraint count_line_count_item_key,
    add constraint count_line_count_item_lot_key unique nulls not distinct (count, item, lot);

alter table stock_operations.status_change add column owner text not null default 'main';
