-- What is parked for one and the same reason is one trouble in the queue of exceptions, under this key.
create function availability.waiting_key(source text, kind text, cause text, detail text)
returns text immutable parallel safe language sql as
$$ select source || '/' || kind || '/' || cause || '/' || md5(detail) $$;

-- Why what was parked need not be recorded, where a person said so.
alter table availability.parked add column resolution text;
