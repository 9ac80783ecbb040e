-- Codes that holders show, and holders that turn out to be one.
-- depends: 0008_reports

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- migrate: rollback
