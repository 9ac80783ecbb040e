-- Integrations: point-of-sale and commerce systems that send their own documents, signed in their own way.
-- depends: 0015_imports

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: directory -- looked up before a tenant is known
-- The address of an integration names it and nothing else; here is whose it is.
create table integration_doors (
    integration_id uuid primary key,
    tenant_id uuid not null,
    client_id uuid not null
);
grant select, insert on integration_doors to tallystick_app;
grant select on integration_doors to tallystick_auditor;

-- class: tenant
-- One account with one system, for one merchant. The secret that its documents are signed with is sealed; for a while after it was
-- changed the former one is taken, too. `account` is the system's own name of the shop. `locations` maps the system's own names of
-- places to ours. `received` counts documents that were kept, `ignored` those that nobody needs, `refused` those that were not signed
-- by the system.
create table integrations (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    system text not null check (system <> ''),
    account text not null check (account <> ''),
    name text not null check (name <> ''),
    secret_sealed bytea not null,
    former_secret_sealed bytea,
    former_until timestamptz,
    locations json not null,
    status text not null check (status in ('active', 'disabled')),
    received bigint not null default 0,
    ignored bigint not null default 0,
    refused bigint not null default 0,
    last_at timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check ((former_secret_sealed is null) = (former_until is null))
);
create index integrations_of_partner on integrations (tenant_id, partner_id, created_at desc, id desc);

-- Signed documents that could not be taken, once each: `digest` is a keyed hash of the document, so that a resend adds none. The document
-- itself is sealed, until it was taken after all.
create table integration_faults (
    tenant_id uuid not null,
    id uuid not null,
    integration_id uuid not null,
    at timestamptz not null,
    code text not null,
    detail text not null,
    digest bytea not null,
    document_sealed bytea,
    taken_at timestamptz,
    primary key (tenant_id, id),
    check ((document_sealed is null) = (taken_at is not null))
);
create unique index integration_faults_once on integration_faults (tenant_id, integration_id, digest);
create index integration_faults_open on integration_faults (tenant_id, integration_id) where taken_at is null;
create index integration_faults_old on integration_faults (tenant_id, at);
create index integration_faults_listed on integration_faults (tenant_id, integration_id, at desc, id desc);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'integrations', 'integration_faults'
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
grant select, insert, update on integrations, integration_faults to tallystick_app;
-- Faults that are old are forgotten.
grant delete on integration_faults to tallystick_app;
grant select on integrations, integration_faults to tallystick_auditor;

-- migrate: rollback
