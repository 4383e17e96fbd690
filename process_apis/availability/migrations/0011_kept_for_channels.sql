-- Rules have an end, an owner and a reason; those that keep something from other channels are found without reading all.
alter table availability.channel_rule
    add column effective_until timestamptz check (effective_until > effective_from),
    add column business_owner text not null default '',
    add column reason text not null default '',
    add column fences boolean not null default false;
create index channel_rule_fences on availability.channel_rule (tenant, channel) where fences;

-- What a channel's claims drew of its allotment of that name: promised under it and not given back, shipped or not.
alter table availability.channel_line
    add column allotment text,
    add column drawn numeric not null default 0 check (drawn >= 0);
alter table availability.claim add column allotment text;
