-- A person had an open finding compared again (`asked_at`, until a run did); `looked_at` is when that run was over.
alter table reconciliation.finding add column asked_at timestamptz, add column looked_at timestamptz;
create index finding_asked on reconciliation.finding (tenant, what) where asked_at is not null;
