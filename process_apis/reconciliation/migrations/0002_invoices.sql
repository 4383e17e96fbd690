-- Invoices are held against shipments too.
alter table reconciliation.run
    drop constraint run_what_check,
    add constraint run_what_check check (what in ('stock', 'orders', 'shipments', 'invoices'));
alter table reconciliation.finding
    drop constraint finding_what_check,
    add constraint finding_what_check check (what in ('stock', 'orders', 'shipments', 'invoices'));
