-- How fresh and how true each source is: when it was heard, and what its last snapshot was like beside our figures.
create index snapshot_latest on availability.snapshot (tenant, source, recorded_at) where moves;

create view availability.source_heard as
select s.tenant, s.source, s.heard_at, n.recorded_at as compared_at, coalesce(n.figures, 0) as figures,
       coalesce(n.drifted, 0) as drifted
from availability.source s
left join lateral (
    select m.recorded_at, m.figures, m.drifted
    from availability.snapshot m
    where m.tenant = s.tenant and m.source = s.source and m.moves
      -- The first snapshot of a source has nothing to be compared with.
      and exists (select from availability.snapshot o
                  where o.tenant = m.tenant and o.source = m.source and o.moves and o.recorded_at < m.recorded_at)
    order by m.recorded_at desc limit 1
) n on true;
