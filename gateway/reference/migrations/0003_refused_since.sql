-- `told_at` is since when a refusal stands as it is, `seen_at` when the list last had it.
alter table reference.refusal add column seen_at timestamptz not null default now();
