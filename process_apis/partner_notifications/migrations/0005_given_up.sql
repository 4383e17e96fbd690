-- Since when a message that was tried in vain waits for a person; null for what was told, is tried, or need not be told.
alter table partner_notifications.message add column given_up_at timestamptz;
create index message_given_up on partner_notifications.message (tenant, endpoint) where given_up_at is not null;
