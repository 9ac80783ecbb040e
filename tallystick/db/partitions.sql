-- Time partitions of what only grows, one a month, so that retention is a detach. Replaceable: applied whole by every migrate.

-- Makes the partitions of the month of `_from` and of the three months after it, where they are missing, and answers their
-- names. A month whose rows already stand in the default partition stays there: moving them would hold up every writer.
-- Attaching, unlike `partition of`, waits for nobody but those who use the default partition, and for them two seconds at most;
-- who calls tries again later. Rows are reached through the parent only: row-level security is the parent's, so nobody has rights
-- on a partition.
create or replace function partitions_ensure(_from timestamptz) returns setof text
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp
set timezone = 'UTC'
set lock_timeout = '2s'
as $$
declare
    parent record;
    month timestamptz;
    partition_name text;
    taken boolean;
begin
    for parent in
        select * from (
            values ('events', 'recorded_at'), ('request_log', 'at'), ('unknown_requests', 'at')
        ) as partitioned (name, key)
    loop
        for month in
            select first_day from generate_series(
                date_trunc('month', _from), date_trunc('month', _from) + interval '3 months', interval '1 month'
            ) as first_day
        loop
            partition_name := parent.name || to_char(month, '_YYYY_MM');
            continue when to_regclass(format('public.%I', partition_name)) is not null;
            execute format(
                'select exists (select from public.%I where %I >= %L and %I < %L)',
                parent.name || '_default', parent.key, month, parent.key, month + interval '1 month'
            ) into taken;
            continue when taken;
            execute format(
                'create table public.%I (like public.%I including defaults including constraints including indexes)',
                partition_name, parent.name
            );
            execute format('revoke all on public.%I from public, tallystick_app, tallystick_auditor', partition_name);
            execute format(
                'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
                parent.name, partition_name, month, month + interval '1 month'
            );
            return next partition_name;
        end loop;
    end loop;
end
$$;
