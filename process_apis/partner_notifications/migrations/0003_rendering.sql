-- The API version whose shapes an endpoint's messages have. Endpoints without a row were there before there was a
-- choice, and get what they always got: v1.
create table partner_notifications.rendering (
    endpoint text primary key,
    version text not null check (version ~ '^v[1-9][0-9]{0,3}$'),
    changed_at timestamptz not null default now()
);
