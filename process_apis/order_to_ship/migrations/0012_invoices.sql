-- What the ERP billed, by shipment, as models.Invoice has it; empty where it is not asked to bill.
alter table order_to_ship.sales_order add column invoices jsonb not null default '[]';
