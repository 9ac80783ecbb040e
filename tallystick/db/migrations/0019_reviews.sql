-- What partners are told before a review and before the end of a secret, and what stays of events that are forgotten.
-- depends: 0018_reconciliation

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- When an agreement is to be reviewed next, in real time (null: not at all), and how often that was told: 30 days before, and then.
alter table agreements
add column review_due_at timestamptz,
add column review_told smallint not null default 0 check (review_told between 0 and 2);
update agreements set review_due_at = created_at + interval '1 year';
-- squawk-ignore require-concurrent-index-creation -- agreements and secrets are few
create index agreements_to_review on agreements (review_due_at) where status = 'active' and review_told < 2;

-- How often it was told that a secret ends: 7 days before, and one.
alter table client_secrets add column expiry_told smallint not null default 0 check (expiry_told between 0 and 2);
-- squawk-ignore require-concurrent-index-creation
create index client_secrets_expiring on client_secrets (expires_at)
where expires_at is not null and revoked_at is null and expiry_told < 2;

-- Up to here a tenant's events may be forgotten; behind it every one is there.
alter table tenant_heads add column kept_after bigint not null default 0;

-- class: tenant
-- How far a subject is counted whose events are forgotten, where nothing else counts it.
create table event_sequences (
    tenant_id uuid not null,
    subject_id uuid not null,
    sequence integer not null,
    primary key (tenant_id, subject_id)
);
alter table event_sequences enable row level security;
alter table event_sequences force row level security;
create policy own_tenant on event_sequences to tallystick_app using (
    tenant_id = (select nullif(current_setting('tallystick.tenant', true), '')::uuid)
);
create policy auditor_reads on event_sequences for select to tallystick_auditor using (true);
grant select, insert, update on event_sequences to tallystick_app;
grant select on event_sequences to tallystick_auditor;

-- Blocks are summarised as they fill: those that wait for a vacuum would all be read for one event.
-- squawk-ignore require-concurrent-index-deletion -- the same
drop index events_recorded;
-- squawk-ignore require-concurrent-index-creation -- it has one entry for 32 blocks
create index events_recorded on events using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);

-- migrate: rollback
