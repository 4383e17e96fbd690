-- A cancelled order is promised nothing more: a claim that comes late is refused.
alter table availability.claim_order add column cancelled_at timestamptz;
