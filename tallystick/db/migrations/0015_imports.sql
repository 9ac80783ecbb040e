-- Imports: files of activity of any size, taken a chunk at a time, each line once.
-- depends: 0014_thresholds

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- A file and how far its reading is: `bytes_done` and `lines_done` are behind the last line that was carried out, and whoever resumes
-- goes on there. `header` are the columns of its first line. What waits to be reconciled is released chunk by chunk, behind
-- `release_after`. `due_at` is in real time. `sha256` and `size` are of the whole file, where its sender named them.
create table imports (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    request_id uuid not null,
    kind text not null check (kind in ('transaction', 'visit', 'order')),
    format text not null check (format in ('csv', 'ndjson', 'parquet')),
    columns json not null,
    delimiter text not null,
    currency char(3),
    time_zone text,
    tell_progress boolean not null,
    status text not null check (status in ('uploading', 'accepted', 'running', 'completed', 'failed', 'cancelled')),
    attribution text check (attribution in ('immediate', 'reconciled')),
    released_at timestamptz,
    rejecting boolean not null default false,
    release_after uuid,
    parts integer not null default 0,
    byte_count bigint not null default 0,
    bytes_done bigint not null default 0,
    lines_done bigint not null default 0,
    header json,
    accepted bigint not null default 0,
    duplicates bigint not null default 0,
    rejected bigint not null default 0,
    detail text,
    due_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    sha256 bytea check (length(sha256) = 32),
    size bigint check (size > 0),
    primary key (tenant_id, id)
);
create index imports_due on imports (tenant_id, due_at) where due_at is not null;
create index imports_of_partner on imports (tenant_id, partner_id, created_at desc, id desc);

-- The file, sealed, in parts of its own order; gone some days after it was read.
create table import_parts (
    tenant_id uuid not null,
    import_id uuid not null,
    part integer not null check (part > 0),
    byte_count integer not null check (byte_count > 0),
    digest bytea not null,
    content bytea not null,
    primary key (tenant_id, import_id, part)
);

-- Lines that were not taken, and why.
create table import_rejections (
    tenant_id uuid not null,
    import_id uuid not null,
    line bigint not null,
    code text not null,
    detail text not null,
    line_sealed bytea,
    primary key (tenant_id, import_id, line)
);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'imports', 'import_parts', 'import_rejections'
    ] loop
        execute format('alter table %I enable row level security', guarded);
        execute format('alter table %I force row level security', guarded);
        execute format(
            'create policy own_tenant on %I to tallystick_app using (tenant_id = '
            '(select nullif(current_setting(''tallystick.tenant'', true), '''')::uuid))', guarded
        );
        execute format('create policy auditor_reads on %I for select to tallystick_auditor using (true)', guarded);
    end loop;
end
$$;
grant select, insert on imports, import_parts, import_rejections to tallystick_app;
grant update on imports to tallystick_app;
grant delete on import_parts to tallystick_app;
grant select on imports, import_rejections to tallystick_auditor;

-- migrate: rollback
