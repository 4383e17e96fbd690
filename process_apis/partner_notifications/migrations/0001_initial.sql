create schema partner_notifications;

-- One row is one webhook message; its id is the webhook-id and stays the same over all attempts.
-- `payload` is null until the first attempt: an availability message not yet rendered stands for every
-- further change of the same item (the latest value wins).
create table partner_notifications.message (
    message text primary key,
    tenant text not null,
    partner text not null,
    endpoint text not null,
    type text not null,
    subject text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    correlation_id text not null,
    payload bytea,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'abandoned')),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_status integer,
    last_error text,
    created_at timestamptz not null default now(),
    delivered_at timestamptz
);
create unique index message_coalesced on partner_notifications.message (endpoint, subject)
    where payload is null and state = 'waiting';
create index message_due on partner_notifications.message (next_attempt_at) where state = 'waiting';
create index message_abandoned on partner_notifications.message (tenant, message) where state = 'abandoned';
create index message_partner on partner_notifications.message (tenant, partner, created_at);
