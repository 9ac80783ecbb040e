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
    lower_bound text;
    upper_bound text;
    taken boolean;
begin
    for parent in
        select * from (
            values ('events', 'recorded_at', false), ('request_log', 'at', false), ('unknown_requests', 'at', false),
                ('activities', 'id', true)
        ) as partitioned (name, key, by_id)
    loop
        for month in
            select first_day from generate_series(
                date_trunc('month', _from), date_trunc('month', _from) + interval '3 months', interval '1 month'
            ) as first_day
        loop
            partition_name := parent.name || to_char(month, '_YYYY_MM');
            continue when to_regclass(format('public.%I', partition_name)) is not null;
            -- An id was made in the month that its first bits name.
            lower_bound := case when parent.by_id then uuid_floor(month)::text else month::text end;
            upper_bound := case when parent.by_id then uuid_floor(month + interval '1 month')::text
                else (month + interval '1 month')::text end;
            execute format(
                'select exists (select from public.%I where %I >= %L and %I < %L)',
                parent.name || '_default', parent.key, lower_bound, parent.key, upper_bound
            ) into taken;
            continue when taken;
            execute format(
                'create table public.%I (like public.%I including defaults including constraints including indexes)',
                partition_name, parent.name
            );
            execute format('revoke all on public.%I from public, tallystick_app, tallystick_auditor', partition_name);
            execute format(
                'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
                parent.name, partition_name, lower_bound, upper_bound
            );
            return next partition_name;
        end loop;
    end loop;
end
$$;
