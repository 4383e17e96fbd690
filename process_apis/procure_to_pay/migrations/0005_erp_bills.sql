-- What the ERP says of a supplier's invoice is a fact like what the supplier says; its invoices are read from a cursor of
-- their own.
alter table procure_to_pay.fact drop constraint fact_kind_check;
alter table procure_to_pay.fact add constraint fact_kind_check check (kind in
    ('acknowledgement', 'notice', 'invoice', 'decision', 'closure', 'sent_back', 'erp_bill'));
alter table procure_to_pay.reading add column what text not null default 'purchases'
    check (what in ('purchases', 'bills'));
alter table procure_to_pay.reading drop constraint reading_pkey;
alter table procure_to_pay.reading add primary key (tenant, source, what);
