-- Transfers by lot, and lines that a person closes one by one.

alter table stock_operations.transfer_line
    add column lot text,
    add column expires_on date,
    -- Lots that would go first, as planned: [{"lot", "amount", "expires_on"}].
    add column suggested jsonb not null default '[]',
    add column closed_at timestamptz,
    add column closed_by text,
    add column close_reason text,
    add column missing text check (missing in ('lost', 'at_origin', 'at_destination'));
alter table stock_operations.transfer_line
    drop constraint transfer_line_transfer_item_key,
    add constraint transfer_line_transfer_item_lot_key unique nulls not distinct (transfer, item, lot);

-- What moved is counted by item and lot; lines show how it spreads over them (rules.spread). `line` is of older rows.
alter table stock_operations.counted
    alter column line drop not null,
    add column item text,
    add column lot text not null default '';
create index counted_transfer on stock_operations.counted (transfer);
create index transfer_line_lot on stock_operations.transfer_line (item, lot) where lot is not null;
