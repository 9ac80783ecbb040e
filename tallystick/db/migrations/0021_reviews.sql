-- What an agreement's partner is told before its review, and a credential's before a secret of it ends.
-- depends: 0017_webhooks

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- When an agreement is to be reviewed next, in real time (null: not at all), and how often that was told: 30 days before, and then.
alter table agreements
add column review_due_at timestamptz,
add column review_told smallint not null default 0 check (review_told between 0 and 2);
update agreements set review_due_at = created_at + interval '1 year';
create index agreements_to_review on agreements (review_due_at) where status = 'active' and review_told < 2;

-- How often it was told that a secret ends: 7 days before, and one.
alter table client_secrets add column expiry_told smallint not null default 0 check (expiry_told between 0 and 2);
create index client_secrets_expiring on client_secrets (expires_at)
where expires_at is not null and revoked_at is null and expiry_told < 2;

-- migrate: rollback
