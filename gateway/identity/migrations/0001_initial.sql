-- Partners, OAuth2 clients and their secrets, API keys, signing keys, webhook endpoints, console users.
-- Secrets that we only compare are kept as keyed digests; secrets that we must use again are sealed (kernel/keyring.py).

create schema identity;

-- Every change that takes a right away bumps the epoch; each worker polls it and drops what it has cached.
create table identity.epoch (
    only_one boolean primary key default true check (only_one),
    epoch bigint not null default 1
);
insert into identity.epoch default values;

create table identity.partner (
    partner_id text primary key,
    tenant text not null,
    name text not null,
    channel text not null,
    plan text not null,
    accounts text[] not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    disabled_at timestamptz,
    unique (tenant, name)
);

create table identity.client (
    client_id text primary key,
    tenant text not null,
    kind text not null check (kind in ('partner', 'application', 'operator')),
    name text not null,
    partner_id text references identity.partner,
    scopes text[] not null default '{}',
    -- Tokens carry the generation they were issued under; revoking all tokens of a client raises it.
    generation integer not null default 0,
    revoked_at timestamptz,
    disabled_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    check ((kind = 'partner') = (partner_id is not null))
);
create index client_partner on identity.client (partner_id);
create index client_revoked on identity.client (revoked_at) where revoked_at is not null;

create table identity.client_secret (
    secret_id bigint generated always as identity primary key,
    client_id text not null references identity.client,
    digest bytea not null,
    pepper_version integer not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz
);
create index client_secret_client on identity.client_secret (client_id);

create table identity.api_key (
    key_id text primary key,
    client_id text not null references identity.client,
    environment text not null,
    digest bytea not null,
    pepper_version integer not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz
);
create index api_key_client on identity.api_key (client_id);

create table identity.revoked_token (
    token_id text primary key,
    expires_at timestamptz not null
);

-- next is published before it signs; previous verifies until every token it signed has expired.
create table identity.signing_key (
    kid text primary key,
    state text not null check (state in ('next', 'current', 'previous')),
    algorithm text not null,
    private_key bytea not null,
    public_jwk jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    current_since timestamptz,
    retire_at timestamptz
);
create unique index signing_key_one on identity.signing_key (state) where state in ('next', 'current');

create table identity.webhook_endpoint (
    endpoint_id text primary key,
    tenant text not null,
    partner_id text not null references identity.partner,
    url text not null,
    -- Newest last; deliveries are signed with each, so that a partner can rotate without a gap.
    secrets bytea[] not null,
    event_types text[] not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    disabled_at timestamptz,
    disabled_reason text
);
create index webhook_endpoint_partner on identity.webhook_endpoint (tenant, partner_id) where disabled_at is null;

create table identity.console_user (
    user_id text primary key,
    name text not null unique,
    password text,
    roles text[] not null,
    failures integer not null default 0,
    locked_until timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    disabled_at timestamptz
);

create table identity.console_invitation (
    digest bytea primary key,
    user_id text not null references identity.console_user,
    expires_at timestamptz not null
);

create table identity.console_session (
    digest bytea primary key,
    user_id text not null references identity.console_user,
    csrf_token text not null,
    created_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index console_session_expiry on identity.console_session (expires_at);
