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

-- Forgets the events of one month whose every event was recorded before `_before`: the oldest one that is there. Answers its partition
-- and how many events it had, or nothing where there is none such; `_rehearsed` says so and changes nothing. For the owner alone: whoever
-- acts for partners cannot drop a table. Nobody writes into months gone by, so that what is to be kept of them is read before anybody
-- has to wait; the lock that the detaching needs is taken before that of any head, as every writer does.
create or replace function events_forget(_before timestamptz, _rehearsed boolean)
returns table (forgotten text, events_forgotten bigint)
language plpgsql
set search_path = pg_catalog, public, pg_temp
set timezone = 'UTC'
set lock_timeout = '2s'
as $$
declare
    oldest text;
    head record;
begin
    select c.relname::text into oldest
    from pg_inherits as i
    join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'public.events'::regclass and c.relname ~ '^events_\d{4}_\d{2}$'
        and to_date(substr(c.relname, 8), 'YYYY_MM') + interval '1 month' <= _before at time zone 'UTC'
    order by c.relname
    limit 1;
    if oldest is null then
        return;
    end if;
    forgotten := oldest;
    execute format('select count(*) from public.%I', oldest) into events_forgotten;
    return next;
    if _rehearsed then
        return;
    end if;
    execute format(
        'create temporary table forgotten_heads on commit drop as '
        'select tenant_id, max(position) as last from public.%I group by tenant_id', oldest
    );
    -- What is counted from events alone goes on counting; every other subject has its own version.
    execute format(
        'create temporary table forgotten_subjects on commit drop as '
        'select tenant_id, subject_id, max(sequence) as last from public.%I '
        'where subject_type in (''Merchant'', ''Credential'', ''Agreement'') group by tenant_id, subject_id', oldest
    );
    lock table public.events in access exclusive mode;
    for head in select tenant_id, last from pg_temp.forgotten_heads order by tenant_id loop
        perform set_config('tallystick.tenant', head.tenant_id::text, true);
        update public.tenant_heads set kept_after = greatest(kept_after, head.last) where tenant_id = head.tenant_id;
        insert into public.event_sequences as known (tenant_id, subject_id, sequence)
        select s.tenant_id, s.subject_id, s.last from pg_temp.forgotten_subjects as s where s.tenant_id = head.tenant_id
        on conflict (tenant_id, subject_id) do update set sequence = greatest(known.sequence, excluded.sequence);
    end loop;
    execute format('alter table public.events detach partition public.%I', oldest);
    execute format('drop table public.%I', oldest);
    drop table pg_temp.forgotten_heads, pg_temp.forgotten_subjects;
end
$$;
