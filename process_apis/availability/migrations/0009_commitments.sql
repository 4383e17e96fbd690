-- What a claim was before it was used up: a shipment that is revised down gives it back as that.
alter table availability.claim add column commitment text not null default 'soft'
    check (commitment in ('soft', 'firm', 'handed'));
update availability.claim set commitment = 'handed' where state <> 'reserved';

-- Handling that names an order and no line of it stands under line -1 and its item; what names a line has item ''.
alter table availability.progress add column item text not null default '';
alter table availability.progress drop constraint progress_pkey;
alter table availability.progress add primary key (tenant, order_id, order_line, location, item);
