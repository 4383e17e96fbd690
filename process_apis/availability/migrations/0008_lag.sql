-- How late news is, by location and minute: `recorded` from what happened to our record, `published` from there to the
-- figures that channels read. A slot holds lags of less than a tenth apart (lags.py). Kept for a day.
create table availability.lag (
    tenant text not null,
    location text not null,
    minute timestamptz not null,
    stage text not null check (stage in ('recorded', 'published')),
    slot smallint not null,
    news bigint not null,
    primary key (tenant, minute, stage, location, slot)
);
create index lag_minute on availability.lag (minute);
-- Rows lie in the order they were recorded in: some bytes tell where a minute is.
create index movement_recorded on availability.movement using brin (recorded_at)
    with (pages_per_range = 32, autosummarize = on);
