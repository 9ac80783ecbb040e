-- Gift cards: sold, delivered, looked up, replaced.
-- depends: 0004_spending

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- migrate: rollback
