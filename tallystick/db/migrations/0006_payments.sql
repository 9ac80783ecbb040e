-- Payments made with stored value.
-- depends: 0005_gift_cards

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- migrate: rollback
