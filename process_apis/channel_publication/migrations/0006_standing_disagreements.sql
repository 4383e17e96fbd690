-- A disagreement that is found again while it is open is the same: `last_at` is when, `detail` what the channel said of it.
alter table channel_publication.disagreement
    add column detail text not null default '',
    add column last_at timestamptz not null default now();
update channel_publication.disagreement set last_at = found_at;
