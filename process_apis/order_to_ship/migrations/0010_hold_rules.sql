-- Rules that hold or refuse orders: versioned, with dates of effect. Never changed, only followed by another version.
-- `change` tells copies that there is something new.
create table order_to_ship.hold_rule (
    change bigint generated always as identity primary key,
    tenant text not null,
    name text not null,
    version bigint not null,
    "when" jsonb not null,
    "then" text not null check ("then" in ('hold', 'refuse')),
    active boolean not null,
    channels text[] not null,
    customer_classes text[] not null,
    business_owner text not null,
    reason text not null,
    effective_from timestamptz not null,
    changed_by text not null,
    changed_at timestamptz not null,
    unique (tenant, name, version)
);
create index hold_rule_change on order_to_ship.hold_rule (tenant, change desc);

-- When somebody let an order go on that a rule had held.
alter table order_to_ship.sales_order add column vetted_at timestamptz;
