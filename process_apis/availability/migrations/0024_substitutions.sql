-- Why another item than the one that a line asked for was promised. The promise itself is a claim on that other item,
-- with the item asked for in its `kit` and how much serves one of it in `per_kit`.
create table availability.substitution (
    tenant text not null,
    order_id text not null,
    order_line integer not null,
    action text not null,
    item text not null,
    substitute text not null,
    factor numeric not null,
    -- Of the item asked for, in its base units: what the substitute serves, and what there was not enough of.
    served numeric not null,
    lacked numeric not null,
    -- Preferred ones that did not have enough either.
    passed text[] not null,
    channel text not null,
    rule_version bigint not null,
    made_at timestamptz not null,
    primary key (tenant, order_id, action, order_line)
);
