-- Negative figures are flagged in their stock line. An index whose condition names the amount made every update of a
-- figure write all indexes of its row again.
drop index availability.position_negative;

-- The movement that counts for this line of an event now; null for a snapshot as a whole. Revisions find what they
-- replace by it, so that no index of movements by event has to be kept.
alter table availability.once add column movement text;
update availability.once o set movement = m.movement
from availability.movement m
where m.tenant = o.tenant and m.source = o.source and m.event_id = o.event_id and m.line = o.line and m.live;
drop index availability.movement_event;
