-- What absolute figures were told, by key, at their cut-off: a count that is taken back falls back on the one before,
-- and questions about the past start from the latest of their time. Several rows of one key and cut-off (bins) add up.
create table availability.figure (
    tenant text not null,
    location text not null,
    item text not null,
    owner text not null,
    bucket text not null,
    lot text not null,
    amount numeric not null,
    cut_epoch bigint not null,
    cut_sequence bigint not null,
    cut_event text collate "C" not null,
    taken_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create index figure_key on availability.figure (tenant, location, item, cut_epoch, cut_sequence);

-- Every full snapshot of a location: what it did not name was zero at its cut-off. `full_snapshot` has the latest.
create table availability.full_cut (
    tenant text not null,
    location text not null,
    cut_epoch bigint not null,
    cut_sequence bigint not null,
    cut_event text collate "C" not null,
    taken_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (tenant, location, cut_epoch, cut_sequence, cut_event)
);
insert into availability.full_cut (tenant, location, cut_epoch, cut_sequence, cut_event, taken_at, recorded_at)
select tenant, location, cut_epoch, cut_sequence, cut_event, taken_at, taken_at from availability.full_snapshot;

-- The figures that positions stand on now: what they are, less what was added since.
insert into availability.figure
    (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, taken_at, recorded_at)
select p.tenant, p.location, p.item, p.owner, p.bucket, p.lot,
       p.amount
       - (select coalesce(sum(case when m.to_bucket = p.bucket then m.amount else 0 end
                              - case when m.from_bucket = p.bucket then m.amount else 0 end), 0)
          from availability.movement m
          where m.tenant = p.tenant and m.location = p.location and m.item = p.item and m.owner = p.owner
            and m.lot = p.lot and m.moves and m.live and m.type <> 'cycle_counted'
            and (m.epoch, m.sequence) > (p.cut_epoch, p.cut_sequence))
       - (select coalesce(sum(case s.bucket when 'sellable' then s.settled else -s.settled end), 0)
          from availability.settlement s
          where s.tenant = p.tenant and s.location = p.location and s.item = p.item and s.owner = p.owner
            and s.lot = p.lot and s.bucket = p.bucket),
       p.cut_epoch, p.cut_sequence, p.cut_event, p.as_of, p.as_of
from availability.position p
where p.cut_event <> '' and not exists (
    select from availability.movement m
    where m.tenant = p.tenant and m.location = p.location and m.item = p.item and m.type = 'cycle_counted'
      and m.live and split_part(p.cut_event, '#', 1) = m.event_id);

-- Until when a movement counted: null while it does. What was retired before this is taken as retired now.
alter table availability.movement add column retired_at timestamptz;
update availability.movement set retired_at = now() where not live;
