-- What finds a person's traces when they are erased.
-- depends: 0019_reviews

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- What activity tells of a person may be forgotten; what happened, and how much it was, may not.
grant update (payload_sealed, identity_kind, identity_index) on activities to tallystick_app;

-- Why somebody was erased: nothing else of them is kept, and this is asked for later.
alter table customers add column erased_because text;

-- To whom a card is sent, keyed: the letter itself is sealed.
alter table gift_card_deliveries add column address_index bytea;
-- squawk-ignore require-concurrent-index-creation -- the first version: these tables are empty or small
create index gift_card_deliveries_to on gift_card_deliveries (tenant_id, address_index)
where content_sealed is not null;

-- squawk-ignore require-concurrent-index-creation
create index messages_of_recipient on messages (tenant_id, recipient_id) where content_sealed is not null;

-- squawk-ignore require-concurrent-index-creation
create index customers_merged on customers (tenant_id, merged_into) where merged_into is not null;

-- migrate: rollback
