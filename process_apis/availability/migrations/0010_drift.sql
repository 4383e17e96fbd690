-- How far each figure of a snapshot was from what was expected at its cut-off, whole: what reconciliation examines.
-- `was_epoch` and `was_sequence` are where the figure stood before: what was told since bears on the difference.
create table availability.drift (
    tenant text not null,
    snapshot text not null,
    location text not null,
    item text not null,
    owner text not null,
    bucket text not null,
    lot text not null,
    amount numeric not null,
    was_epoch bigint not null,
    was_sequence bigint not null,
    primary key (tenant, snapshot, location, item, owner, bucket, lot)
);
create index snapshot_recorded on availability.snapshot (tenant, recorded_at) where moves;
