-- On what terms a partner may act: its quotas and who operates the house.
-- depends: 0006_payments

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- migrate: rollback
