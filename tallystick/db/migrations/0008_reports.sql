-- Reports, and periods of the books that close.
-- depends: 0007_governance

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- migrate: rollback
