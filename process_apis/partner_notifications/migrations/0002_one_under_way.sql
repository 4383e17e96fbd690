-- `topic` is the order or item that a message is about: one about it is under way (`leased`) to an endpoint at a time.
-- `payload` is the body of the latest attempt from here on, no longer that of the first.

alter table partner_notifications.message
    add column topic text not null
        generated always as (split_part(subject, '/', 1) || '/' || split_part(subject, '/', 2)) stored,
    add column leased boolean not null default false;
create unique index message_under_way on partner_notifications.message (endpoint, topic)
    where leased and state = 'waiting';
create index message_topic on partner_notifications.message (endpoint, topic) where state = 'waiting';
