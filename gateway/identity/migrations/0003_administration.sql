-- Plans in the record, suspension and versions of partners, people of the console who sign in elsewhere.


create table identity.plan (
    tenant text not null,
    name text not null,
    description text not null default '',
    -- What the limits policy reads: a default limit and those of single operations. Identity does not look inside.
    limits jsonb not null,
    version bigint not null default 1,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (tenant, name)
);

alter table identity.partner
    add column version bigint not null default 1,
    add column changed_at timestamptz not null default clock_timestamp(),
    add column suspended_at timestamptz,
    add column suspended_because text;
-- What tokens issued before a change still say otherwise, and who is shut out for now: read by every worker.
create index partner_changed on identity.partner (changed_at);
create index partner_suspended on identity.partner (suspended_at) where suspended_at is not null;

alter table identity.console_user
    add column issuer text,
    add column subject text,
    add unique (issuer, subject),
    add check ((issuer is null) = (subject is null));
