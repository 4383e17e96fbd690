-- What the doors decided, in blocks: one for each worker and second. A block holds its records packed and compressed.

create schema explain;

create table explain.block (
    block bigint generated always as identity primary key,
    worker text not null,
    first_arrived timestamptz not null,
    last_arrived timestamptz not null,
    written_at timestamptz not null default clock_timestamp(),
    kept integer not null,
    not_kept integer not null default 0,
    reason text check (reason in ('cap', 'record')),
    bytes integer not null,
    content bytea not null,
    check ((not_kept > 0) = (reason is not null))
);
comment on column explain.block.not_kept is 'requests of this span of time of which there is no record, and why';
-- Compressed already, and read whole.
alter table explain.block alter column content set storage external;
create index block_time on explain.block (last_arrived) include (first_arrived, bytes);
