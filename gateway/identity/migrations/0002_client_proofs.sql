-- How a client proves itself other than by a secret, and what may be used once only.

-- RFC 7523: the public keys a client signs its assertions with.
create table identity.client_key (
    client_id text not null references identity.client on delete cascade,
    kid text not null,
    jwk jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (client_id, kid)
);

-- RFC 8705: `named` certificates are known by a name that a certificate authority vouches for (dn:, dns:, uri:, email:,
-- ip:), `pinned` ones by their own SHA-256 thumbprint in base64url.
create table identity.client_certificate (
    client_id text not null references identity.client on delete cascade,
    kind text not null check (kind in ('named', 'pinned')),
    mark text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (client_id, kind, mark)
);

-- Digests of the assertions that were used, until they expire by themselves.
create table identity.used_assertion (
    digest bytea primary key,
    expires_at timestamptz not null
);
create index used_assertion_expiry on identity.used_assertion (expires_at);

-- Moves when single tokens are revoked: workers then forget these and keep what else they have verified.
alter table identity.epoch add column tokens bigint not null default 1;
