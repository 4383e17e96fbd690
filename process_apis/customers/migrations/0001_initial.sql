create schema customers;

-- One row per tenant, locked by whoever changes its customers: references among them are judged one after the other.
create table customers.catalogue (
    tenant text primary key,
    version bigint not null
);

-- `number` is what people call it, and the same in every system that has no code of its own for it. `attributes` is what
-- counts of what is said of it (reference.statement, domain 'customer').
create table customers.customer (
    tenant text not null,
    customer text not null,
    number text not null,
    attributes jsonb not null,
    version bigint not null,
    changed_at timestamptz not null,
    primary key (tenant, customer),
    unique (tenant, number)
);
create index customer_parent on customers.customer (tenant, (attributes ->> 'parent'))
where attributes ->> 'parent' is not null;

create table customers.code (
    tenant text not null,
    source text not null,
    code text not null,
    customer text not null,
    primary key (tenant, source, code),
    foreign key (tenant, customer) references customers.customer
);
create index code_customer on customers.code (tenant, customer);
