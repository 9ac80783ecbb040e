"""Proofs of what is spent: that payments, their parts, references and holds, and the histories of gift cards tell the same story as
the books do. Run by the auditor.
"""

from collections.abc import Mapping
from typing import Final

AUDITOR_PARTS = """
select p.tenant_id, p.id, 'The amounts of the payment are not those of its parts.'
from payment_intents as p
left join (
    select tenant_id, intent_id, sum(amount) as amount, sum(captured) as captured, sum(refunded) as refunded,
        sum(amount) filter (where lot_class in ('paid', 'refund')) as tender
    from payment_parts group by tenant_id, intent_id
) as s on s.tenant_id = p.tenant_id and s.intent_id = p.id
where (s.amount is distinct from p.authorized_amount or s.captured <> p.captured_amount
    or s.refunded <> p.refunded_amount or coalesce(s.tender, 0) <> p.authorized_tender)
"""

AUDITOR_SOURCES = """
select p.tenant_id, p.id, 'The payment is not worth what its sources gave.'
from payment_intents as p
left join (
    select tenant_id, intent_id, sum(authorized_amount) as amount from payment_sources group by tenant_id, intent_id
) as s on s.tenant_id = p.tenant_id and s.intent_id = p.id
where s.amount is distinct from p.authorized_amount
"""

AUDITOR_KEYLESS_PAYMENTS = """
select p.tenant_id, p.id, 'The payment has no idempotency key, or more than one.'
from payment_intents as p
left join (
    select tenant_id, resource_id, count(*) as n from idempotency_keys
    where operation = 'payments.authorize' group by tenant_id, resource_id
) as k on k.tenant_id = p.tenant_id and k.resource_id = p.id
where k.n is distinct from 1
"""

AUDITOR_KEYS_OF_NO_PAYMENT = """
select k.tenant_id, k.resource_id, 'An idempotency key stands for a payment that does not exist.'
from idempotency_keys as k
left join payment_intents as p on p.tenant_id = k.tenant_id and p.id = k.resource_id
where k.operation = 'payments.authorize' and p.id is null
"""

AUDITOR_REFERENCES = """
select r.tenant_id, r.intent_id, 'A reference of a till stands for no payment, or for another.'
from till_references as r
left join payment_intents as p on p.tenant_id = r.tenant_id and p.id = r.intent_id
where (r.intent_id is not null or r.reversed_at is null)
    and (p.external_reference, p.merchant_id, p.partner_id) is distinct from (r.reference, r.merchant_id, r.partner_id)
"""

AUDITOR_LOST_REFERENCES = """
select p.tenant_id, p.id, 'The reference that the payment was made with is not kept.'
from payment_intents as p
left join till_references as r on r.tenant_id = p.tenant_id and r.intent_id = p.id
where p.external_reference is not null and r.intent_id is null
"""

AUDITOR_UNTOLD_PAYMENTS = """
select p.tenant_id, p.id, format('The payment is at version %s, and %s events tell of it.', p.version, coalesce(e.n, 0))
from payment_intents as p
join tenant_heads as h on h.tenant_id = p.tenant_id
left join (
    select tenant_id, subject_id, count(distinct sequence) as n, min(sequence) as first, max(sequence) as last
    from events where subject_type = 'PaymentIntent' group by tenant_id, subject_id
) as e on e.tenant_id = p.tenant_id and e.subject_id = p.id
where (e.n is distinct from p.version::bigint or e.last is distinct from p.version)
    and not (h.kept_after > 0 and (e.n is null or (e.n = e.last - e.first + 1 and e.last = p.version)))
"""

AUDITOR_HOLDS = """
select p.tenant_id, p.id, format('The payment is %s, and its hold says otherwise.', p.status)
from payment_intents as p
join payment_parts as part on part.tenant_id = p.tenant_id and part.intent_id = p.id
join holds as h on h.tenant_id = part.tenant_id and h.id = part.hold_id
left join hold_resolutions as r on r.tenant_id = h.tenant_id and r.hold_id = h.id
where ((p.status = 'authorized') <> (r.hold_id is null) or h.amount <> part.amount
    or h.account_id <> part.account_id)
"""

# Every change of a card is a line of its history, numbered by the card's own version.
AUDITOR_HISTORIES = """
select c.tenant_id, c.id,
    format('The card is at version %s, and %s lines of its history reach %s.', c.version, coalesce(h.n, 0), h.last)
from gift_cards as c
left join (
    select tenant_id, card_id, count(*) as n, max(sequence) as last from gift_card_activities group by tenant_id, card_id
) as h on h.tenant_id = c.tenant_id and h.card_id = c.id
where h.n is distinct from c.version::bigint or h.last is distinct from c.version
"""

PROOFS_OF_SPENDING: Final[Mapping[str, str]] = {
    "a payment is worth its parts": AUDITOR_PARTS,
    "a payment is worth its sources": AUDITOR_SOURCES,
    "every payment has one key": AUDITOR_KEYLESS_PAYMENTS,
    "every key has its payment": AUDITOR_KEYS_OF_NO_PAYMENT,
    "a reference names its payment": AUDITOR_REFERENCES,
    "every reference is kept": AUDITOR_LOST_REFERENCES,
    "every change of a payment is told once": AUDITOR_UNTOLD_PAYMENTS,
    "what is authorised is held, and nothing else is": AUDITOR_HOLDS,
    "every change of a gift card is in its history": AUDITOR_HISTORIES,
}
