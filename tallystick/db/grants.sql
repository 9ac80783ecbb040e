-- Who may act as whom and call our functions, and that nobody reaches round a parent into its partitions. Applied last by every
-- migrate.

do $$
declare
    found record;
    named text;
begin
    -- From 16 on, who makes a role belongs to it but may not act as it, until it grants itself that.
    if current_setting('server_version_num')::int >= 160000 then
        foreach named in array array['tallystick_app', 'tallystick_auditor'] loop
            if not pg_has_role(current_user, named, 'set') then
                execute format('grant %I to %I', named, current_user);
            end if;
        end loop;
    end if;
    -- Functions of extensions, and of others who share the database, are left alone.
    for found in
        select p.oid::regprocedure as signature, p.prosecdef as as_owner
        from pg_proc p
        where p.pronamespace = 'public'::regnamespace
            and p.proowner = current_user::regrole
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
        execute format('revoke all on function %s from public', found.signature);
        execute format('grant execute on function %s to tallystick_app', found.signature);
        if not found.as_owner then
            execute format('grant execute on function %s to tallystick_auditor', found.signature);
        end if;
    end loop;
    for found in
        select i.inhrelid::regclass as partition
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where c.relispartition and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
            and c.relowner = current_user::regrole and c.relacl is not null
    loop
        execute format('revoke all on %s from public, tallystick_app, tallystick_auditor', found.partition);
    end loop;
end
$$;
