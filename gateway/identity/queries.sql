-- name: read_epoch
select epoch, tokens from identity.epoch;

-- name: bump_epoch
update identity.epoch set epoch = epoch + 1;

-- name: lock_signing_keys
select pg_advisory_xact_lock(7234018110291);

-- name: signing_keys
select kid, state, algorithm, private_key, public_jwk, extract(epoch from current_since)::float8 as current_since
from identity.signing_key
where retire_at is null or retire_at > clock_timestamp()
order by created_at;

-- name: add_signing_key
insert into identity.signing_key (kid, state, algorithm, private_key, public_jwk, current_since)
values ($1, $2, $3, $4, $5, case when $2 = 'current' then clock_timestamp() end);

-- name: retire_current_key
update identity.signing_key
set state = 'previous', retire_at = clock_timestamp() + make_interval(secs => $1)
where state = 'current';

-- name: promote_next_key
update identity.signing_key set state = 'current', current_since = clock_timestamp() where state = 'next';

-- name: drop_retired_keys
delete from identity.signing_key where retire_at < clock_timestamp();

-- name: drop_signing_key
delete from identity.signing_key where kid = $1;

-- name: revoked_generations
select client_id, generation from identity.client where revoked_at > clock_timestamp() - interval '1 day';

-- name: revoked_tokens
select token_id from identity.revoked_token where expires_at > clock_timestamp();

-- name: revoke_token
insert into identity.revoked_token (token_id, expires_at) values ($1, $2) on conflict do nothing returning token_id;

-- name: bump_tokens
update identity.epoch set tokens = tokens + 1;

-- name: drop_expired_revocations
delete from identity.revoked_token where expires_at < clock_timestamp() - interval '1 hour';

-- name: drop_expired_assertions
delete from identity.used_assertion where expires_at < clock_timestamp() - interval '1 hour';

-- name: use_assertion
insert into identity.used_assertion (digest, expires_at) values ($1, to_timestamp($2))
on conflict do nothing returning true;

-- name: find_api_key
select k.digest, k.pepper_version, extract(epoch from k.expires_at)::float8 as expires_at,
       c.client_id, c.tenant, c.kind, c.scopes, c.generation, p.partner_id, p.channel, p.plan,
       (select epoch from identity.epoch) as epoch
from identity.api_key k
join identity.client c using (client_id)
left join identity.partner p using (partner_id)
where k.key_id = $1 and c.disabled_at is null and p.disabled_at is null and p.suspended_at is null
  and (k.expires_at is null or k.expires_at > clock_timestamp());

-- name: find_client
select c.client_id, c.tenant, c.kind, c.scopes, c.generation, p.partner_id, p.channel, p.plan,
       array(select s.digest from identity.client_secret s
             where s.client_id = c.client_id and (s.expires_at is null or s.expires_at > clock_timestamp())
             order by s.secret_id) as digests,
       array(select s.pepper_version from identity.client_secret s
             where s.client_id = c.client_id and (s.expires_at is null or s.expires_at > clock_timestamp())
             order by s.secret_id) as pepper_versions,
       array(select k.jwk::text from identity.client_key k where k.client_id = c.client_id) as jwks,
       array(select f.mark from identity.client_certificate f
             where f.client_id = c.client_id and f.kind = 'named') as named,
       array(select f.mark from identity.client_certificate f
             where f.client_id = c.client_id and f.kind = 'pinned') as pinned
from identity.client c
left join identity.partner p using (partner_id)
where c.client_id = $1 and c.disabled_at is null and p.disabled_at is null and p.suspended_at is null;

-- name: drop_client_keys
delete from identity.client_key where client_id = $1;

-- name: add_client_key
insert into identity.client_key (client_id, kid, jwk) values ($1, $2, $3);

-- name: drop_client_certificates
delete from identity.client_certificate where client_id = $1;

-- name: add_client_certificate
insert into identity.client_certificate (client_id, kind, mark) values ($1, $2, $3) on conflict do nothing;

-- name: partner_in_force
select channel, plan from identity.partner
where tenant = $1 and partner_id = $2 and disabled_at is null and suspended_at is null;

-- name: add_client
insert into identity.client (client_id, tenant, kind, name, partner_id, scopes) values ($1, $2, $3, $4, $5, $6);

-- name: lock_client
select client_id, tenant, kind, name, disabled_at from identity.client
where tenant = $1 and client_id = $2 for update;

-- name: add_client_secret
insert into identity.client_secret (client_id, digest, pepper_version) values ($1, $2, $3);

-- name: end_client_secrets
update identity.client_secret
set expires_at = least(expires_at, clock_timestamp() + make_interval(secs => $2))
where client_id = $1;

-- name: live_api_keys
select key_id from identity.api_key
where client_id = $1 and (expires_at is null or expires_at > clock_timestamp())
order by created_at, key_id;

-- name: add_api_key
insert into identity.api_key (key_id, client_id, environment, digest, pepper_version) values ($1, $2, $3, $4, $5);

-- name: end_api_key
update identity.api_key
set expires_at = least(expires_at, clock_timestamp() + make_interval(secs => $2))
where key_id = $1;

-- name: delete_api_key
delete from identity.api_key where client_id = $1 and key_id = $2 returning key_id;

-- name: revoke_client_tokens
update identity.client set generation = generation + 1, revoked_at = clock_timestamp() where client_id = $1;

-- name: disable_client
update identity.client
set disabled_at = coalesce(disabled_at, clock_timestamp()), generation = generation + 1, revoked_at = clock_timestamp()
where client_id = $1;

-- name: add_partner
insert into identity.partner (partner_id, tenant, name, channel, plan, accounts) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant, name) do nothing returning partner_id;

-- name: list_partners
select p.partner_id, p.name, p.channel, p.plan, p.accounts, p.created_at, p.disabled_at, p.suspended_at,
       p.suspended_because, p.version,
       array(select client_id from identity.client c where c.partner_id = p.partner_id order by c.created_at) as clients
from identity.partner p
where p.tenant = $1 and ($2::text is null or p.partner_id > $2)
order by case when $3::int is null then p.name end, p.partner_id
limit $3;

-- name: partner
select partner_id, name, channel, plan, accounts, created_at, disabled_at, suspended_at, suspended_because, version,
       array(select client_id from identity.client c where c.partner_id = p.partner_id order by c.created_at) as clients
from identity.partner p
where tenant = $1 and partner_id = $2;

-- name: lock_partner
select version from identity.partner where tenant = $1 and partner_id = $2 and disabled_at is null for update;

-- name: disable_partner
update identity.partner
set disabled_at = coalesce(disabled_at, clock_timestamp()), version = version + 1, changed_at = clock_timestamp()
where tenant = $1 and partner_id = $2 returning partner_id;

-- name: change_partner
update identity.partner
set channel = $3, plan = $4, accounts = $5, version = version + 1, changed_at = clock_timestamp()
where tenant = $1 and partner_id = $2 and disabled_at is null returning partner_id;

-- name: suspend_partner
update identity.partner
set suspended_at = case when $3::text is null then null else coalesce(suspended_at, clock_timestamp()) end,
    suspended_because = $3, version = version + 1, changed_at = clock_timestamp()
where tenant = $1 and partner_id = $2;

-- name: partner_standings
select partner_id, channel, plan, suspended_at is not null as suspended
from identity.partner
where suspended_at is not null or (changed_at > clock_timestamp() - interval '1 day' and version > 1);

-- name: clients_of_partner
select c.client_id, c.name, c.scopes, c.created_at, c.disabled_at
from identity.client c
where c.tenant = $1 and c.partner_id = $2
order by c.created_at, c.client_id;

-- name: api_keys_of_partner
select k.key_id, k.client_id, k.environment, k.pepper_version, k.created_at, k.expires_at
from identity.api_key k
join identity.client c using (client_id)
where c.tenant = $1 and c.partner_id = $2 and (k.expires_at is null or k.expires_at > clock_timestamp())
order by k.created_at, k.key_id;

-- name: client_of_api_key
select c.client_id from identity.api_key k join identity.client c using (client_id)
where c.tenant = $1 and k.key_id = $2;

-- name: set_client_scopes
update identity.client set scopes = $2 where client_id = $1;

-- name: add_plan
insert into identity.plan (tenant, name, description, limits) values ($1, $2, $3, $4)
on conflict do nothing returning name;

-- name: change_plan
update identity.plan
set description = $3, limits = $4, version = version + 1, changed_at = clock_timestamp()
where tenant = $1 and name = $2;

-- name: lock_plan
select version from identity.plan where tenant = $1 and name = $2 for update;

-- name: drop_plan
delete from identity.plan where tenant = $1 and name = $2;

-- name: plan_has_partners
select exists (select from identity.partner where tenant = $1 and plan = $2 and disabled_at is null);

-- name: plan
select name, description, limits, version, changed_at from identity.plan where tenant = $1 and name = $2;

-- name: list_plans
select name, description, limits, version, changed_at from identity.plan where tenant = $1 order by name;

-- name: all_plans
select tenant, name, limits from identity.plan;

-- name: partner_clients
select client_id from identity.client where partner_id = $1 order by client_id for update;

-- name: partner_accounts
select accounts from identity.partner where tenant = $1 and partner_id = $2 and disabled_at is null;

-- name: add_webhook_endpoint
insert into identity.webhook_endpoint (endpoint_id, tenant, partner_id, url, secrets, event_types)
values ($1, $2, $3, $4, $5, $6);

-- name: webhook_endpoints
select e.endpoint_id, e.url, e.secrets, e.event_types
from identity.webhook_endpoint e
join identity.partner p using (partner_id)
where e.tenant = $1 and e.partner_id = $2 and e.disabled_at is null and p.disabled_at is null
order by e.endpoint_id;

-- name: webhook_subscribers
select a.number, e.endpoint_id, e.partner_id
from unnest($1::text[], $2::text[], $3::text[], $4::text[])
  with ordinality as a (tenant, partner, event_type, scope, number)
join identity.webhook_endpoint e
  on e.tenant = a.tenant and (a.partner is null or e.partner_id = a.partner)
 and (e.event_types = '{}' or a.event_type = any(e.event_types))
join identity.partner p using (partner_id)
where e.disabled_at is null and p.disabled_at is null
  and exists (select from identity.client c where c.partner_id = p.partner_id and a.scope = any(c.scopes))
order by a.number, e.endpoint_id;

-- name: webhook_endpoint
select e.endpoint_id, e.url, e.secrets, e.event_types, p.channel
from identity.webhook_endpoint e
join identity.partner p using (partner_id)
where e.tenant = $1 and e.endpoint_id = $2 and e.disabled_at is null and p.disabled_at is null;

-- name: lock_webhook_endpoint
select secrets from identity.webhook_endpoint where tenant = $1 and endpoint_id = $2 and disabled_at is null for update;

-- name: set_webhook_secrets
update identity.webhook_endpoint set secrets = $2 where endpoint_id = $1;

-- name: disable_webhook_endpoint
update identity.webhook_endpoint
set disabled_at = clock_timestamp(), disabled_reason = $3
where tenant = $1 and endpoint_id = $2 and disabled_at is null;

-- name: add_console_user
insert into identity.console_user (user_id, name, password, roles) values ($1, $2, $3, $4)
on conflict (name) do nothing returning user_id;

-- name: add_outside_console_user
insert into identity.console_user (user_id, name, roles, issuer, subject, signed_in_at)
values ($1, $2, $3, $4, $5, clock_timestamp())
on conflict (name) do nothing returning user_id;

-- name: outside_console_user
select user_id, name, roles, disabled_at is not null as disabled
from identity.console_user where issuer = $1 and subject = $2 for update;

-- name: renew_outside_console_user
update identity.console_user
set roles = $2, signed_in_at = clock_timestamp(),
    changed_at = case when roles = $2 then changed_at else clock_timestamp() end
where user_id = $1;

-- name: console_user_by_name
select user_id, name, password, roles from identity.console_user where name = $1 and disabled_at is null;

-- name: console_people
select u.user_id, u.name, u.roles, u.issuer, u.password is not null as has_password, u.created_at, u.signed_in_at,
    u.disabled_at,
    (select count(*) from identity.console_session s
     where s.user_id = u.user_id and s.expires_at > clock_timestamp()
       and s.seen_at > clock_timestamp() - make_interval(secs => $1)) as sessions,
    (select max(i.expires_at) from identity.console_invitation i where i.user_id = u.user_id) as invited_until
from identity.console_user u order by u.disabled_at is not null, u.name;

-- name: lock_console_people
-- Two administrators who take the role from each other at once must not both succeed.
lock table identity.console_user in share row exclusive mode;

-- name: console_person
select user_id, name, roles, issuer, disabled_at is not null as disabled
from identity.console_user where name = $1;

-- name: other_console_administrators
select count(*) from identity.console_user
where 'administer' = any (roles) and disabled_at is null and (password is not null or issuer is not null)
  and user_id <> $1;

-- name: set_console_roles
update identity.console_user set roles = $2, changed_at = clock_timestamp() where user_id = $1;

-- name: console_signed_in
update identity.console_user set signed_in_at = clock_timestamp() where user_id = $1;

-- name: set_console_password
update identity.console_user set password = $2 where user_id = $1 and disabled_at is null and issuer is null
returning user_id;

-- name: forget_console_password
update identity.console_user set password = null where user_id = $1;

-- name: rehash_console_password
-- $3: what it was when it was read, so that a password set meanwhile stays.
update identity.console_user set password = $2 where user_id = $1 and password = $3;

-- name: disable_console_user
update identity.console_user set disabled_at = clock_timestamp(), changed_at = clock_timestamp()
where user_id = $1 and disabled_at is null;

-- name: enable_console_user
update identity.console_user set disabled_at = null, changed_at = clock_timestamp(), password = null where user_id = $1;

-- name: any_console_administrator
select exists (
    select from identity.console_user
    where disabled_at is null and (password is not null or (issuer is not null and 'administer' = any (roles)))
);

-- name: begin_console_attempt
-- Counted before the password is looked at, so that parallel guesses are counted too. No row: locked.
insert into identity.console_attempt as a (guesser, failures) values ($1, 1)
on conflict (guesser) do update
set failures = case when a.tried_at < clock_timestamp() - interval '1 day' then 1 else a.failures + 1 end,
    tried_at = clock_timestamp(),
    locked_until = case when a.failures + 1 >= $2 and a.tried_at >= clock_timestamp() - interval '1 day'
        then clock_timestamp() + make_interval(secs => least(900, 30 * 2 ^ least(a.failures + 1 - $2, 5))) end
where a.locked_until is null or a.locked_until <= clock_timestamp()
returning failures;

-- name: console_attempt_locked_for
select ceil(extract(epoch from locked_until - clock_timestamp()))::integer
from identity.console_attempt where guesser = $1;

-- name: forget_console_attempts
delete from identity.console_attempt where guesser = any ($1::bytea[]);

-- name: forgive_console_attempt
update identity.console_attempt set failures = greatest(failures - 1, 0), locked_until = null where guesser = $1;

-- name: drop_old_console_attempts
delete from identity.console_attempt where tried_at < clock_timestamp() - interval '1 day';

-- name: add_console_browser
insert into identity.console_browser (digest, user_id, expires_at)
values ($1, $2, clock_timestamp() + make_interval(secs => $3));

-- name: known_console_browser
select exists (
    select from identity.console_browser b join identity.console_user u using (user_id)
    where b.digest = $1 and u.name = $2 and b.expires_at > clock_timestamp()
);

-- name: drop_console_browsers
delete from identity.console_browser where user_id = $1 or expires_at < clock_timestamp();

-- name: add_console_invitation
insert into identity.console_invitation (digest, user_id, expires_at)
values ($1, $2, clock_timestamp() + make_interval(secs => $3));

-- name: drop_console_invitations
delete from identity.console_invitation where user_id = $1;

-- name: use_console_invitation
delete from identity.console_invitation i using identity.console_user u
where i.digest = $1 and i.expires_at > clock_timestamp() and u.user_id = i.user_id and u.disabled_at is null
returning u.user_id, u.name, u.roles;

-- name: add_console_session
insert into identity.console_session (digest, user_id, csrf_token, expires_at)
values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4));

-- name: console_session
update identity.console_session s set seen_at = clock_timestamp()
from identity.console_user u
where s.digest = $1 and s.expires_at > clock_timestamp() and u.user_id = s.user_id and u.disabled_at is null
  and s.seen_at > clock_timestamp() - make_interval(secs => $2)
returning u.user_id, u.name, u.roles, s.csrf_token, u.password is not null as has_password,
    u.issuer is not null as outside;

-- name: end_console_session
delete from identity.console_session where digest = $1;

-- name: end_console_sessions
delete from identity.console_session where user_id = $1;

-- name: drop_expired_console_sessions
delete from identity.console_session where expires_at < clock_timestamp();
