-- Movements and figures become partitions by the time they were recorded at, in three transactions, none of which reads
-- a table while it keeps others out. First: what is there, and what comes until the next span begins, is before that
-- (0020 says how far spans reach). Checked for new rows from here on.
do $$
declare
    until timestamptz := date_trunc('month', now(), 'UTC') + interval '2 months';
    name text;
begin
    foreach name in array array['movement', 'figure'] loop
        execute format(
            'alter table availability.%I add constraint %I
             check (recorded_at >= timestamptz ''0001-01-01 00:00:00+00'' and recorded_at < %L::timestamptz) not valid',
            name, name || '_span', until);
    end loop;
end
$$;
