-- Who administers the console's people, what sign-ins failed, and the browsers that signed in before.
-- `failures` and `locked_until` of console_user are read no more: a version that reads them may run beside this one.

-- The first administrator could do everything there was; administering people is a role of its own from now on.
update identity.console_user set roles = array_append(roles, 'administer')
where name = 'administrator' and not 'administer' = any (roles);

alter table identity.console_user
    add column changed_at timestamptz not null default clock_timestamp(),
    add column signed_in_at timestamptz;

-- `guesser`: digest of a name with the address, or with the known browser, that tries it; or of an address alone.
create table identity.console_attempt (
    guesser bytea primary key,
    failures integer not null,
    locked_until timestamptz,
    tried_at timestamptz not null default clock_timestamp()
);
create index console_attempt_tried on identity.console_attempt (tried_at);

create table identity.console_browser (
    digest bytea primary key,
    user_id text not null references identity.console_user,
    expires_at timestamptz not null
);
