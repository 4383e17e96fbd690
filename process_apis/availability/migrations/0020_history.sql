-- Third: the tables as they are become the first partitions of new ones of their names; nothing is read or copied.
alter table availability.movement rename to movement_first;
alter table availability.figure rename to figure_first;

-- What is no longer kept one by one stands condensed under the time `-infinity`. `carried` counts what a row stands for,
-- `first_epoch` and `first_sequence` are the order key of the first of it; its own key is that of the last.
alter table availability.movement_first add column carried bigint, add column first_epoch bigint,
    add column first_sequence bigint;

-- No index stands on the whole: each partition has its own, which `like` copies.
create table availability.movement (like availability.movement_first including defaults)
    partition by range (recorded_at);
create table availability.movement_carried (like availability.movement_first including all);
alter table availability.movement_carried drop constraint movement_span;
create table availability.figure (like availability.figure_first including defaults) partition by range (recorded_at);
create table availability.figure_carried (like availability.figure_first including all);
alter table availability.figure_carried drop constraint figure_span;

do $$
declare
    name text;
    until text;
begin
    foreach name in array array['movement', 'figure'] loop
        select substring(pg_get_constraintdef(oid) from 'recorded_at < ''([^'']+)''') into until
        from pg_constraint where conname = name || '_span' and conrelid = format('availability.%I', name || '_first')::regclass;
        execute format(
            'alter table availability.%I attach partition availability.%I
             for values from (minvalue) to (''0001-01-01 00:00:00+00'')', name, name || '_carried');
        execute format(
            'alter table availability.%I attach partition availability.%I
             for values from (''0001-01-01 00:00:00+00'') to (%L)', name, name || '_first', until);
        execute format('alter table availability.%I drop constraint %I', name || '_first', name || '_span');
    end loop;
end
$$;

-- From when on questions about the past are answered, by tenant: what was recorded before is condensed. It is written
-- before anything is condensed. `after_*` is how far that came; null once it was through.
create table availability.history (
    tenant text primary key,
    since timestamptz not null,
    after_item text,
    after_location text,
    after_owner text,
    moved_at timestamptz not null default now()
);
-- Rows lie in the order they were recorded in, but for those that were revised.
create index once_recorded on availability.once using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);
alter table availability.parked drop constraint parked_kind_check;
alter table availability.parked add constraint parked_kind_check
    check (kind in ('movement', 'figure', 'demand', 'supply', 'snapshot'));
