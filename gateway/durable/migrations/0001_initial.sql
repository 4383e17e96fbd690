-- Who holds which worker slot. A row counts only while its slot's lock is held: the lock is what tells life from death.

create schema durable;

create table durable.worker (
    slot integer primary key,
    shape text not null,
    earlier text[] not null,
    succeeds text[] not null,
    release text not null,
    host text not null,
    pid integer not null,
    since timestamptz not null default clock_timestamp(),
    drain_asked_at timestamptz
);
comment on column durable.worker.shape is 'the shape of turns that it runs (shapes.toml)';
comment on column durable.worker.earlier is 'shapes before it: their workers stand aside while it lives';
comment on column durable.worker.succeeds is 'the shapes that it takes over once nobody else runs them';
