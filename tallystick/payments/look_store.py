"""The statements by which authorising looks, under its locks, and takes back what refused payments claimed; and the lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.idempotency import Claim
from tallystick.base.work import Work
from tallystick.payments.model import PaymentIntent, SourceKind, Status, TillReference
from tallystick.payments.store import INTENT

CLAIM = "select taken, referenced from payments_claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"

LOOK = """
select taken, referenced, merchants, terms, days, wallets, cards, lots
from payments_look($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""

FORGET_REFERENCES = """
delete from till_references as claimed
using unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[]) as refused (partner_id, merchant_id, reference, intent_id)
where claimed.tenant_id = $1 and claimed.partner_id = refused.partner_id and claimed.merchant_id = refused.merchant_id
    and claimed.reference = refused.reference and claimed.intent_id = refused.intent_id
    and claimed.partner_id = any($2) and claimed.merchant_id = any($3) and claimed.reference = any($4)
"""

GIVE_REFERENCES = """
update till_references as claimed
set intent_id = won.intent_id
from unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[]) as won (partner_id, merchant_id, reference, intent_id)
where claimed.tenant_id = $1 and claimed.partner_id = won.partner_id and claimed.merchant_id = won.merchant_id
    and claimed.reference = won.reference
    and claimed.partner_id = any($2) and claimed.merchant_id = any($3) and claimed.reference = any($4)
"""

# Lists begin at what finds the fewest. The effective status: what a deadline has passed reads expired before the books have moved.
WANTED = """
    and ($2::uuid is null or p.partner_id = $2) and ($3::uuid[] is null or p.merchant_id = any($3))
    and ($4::uuid is null or p.id = any(array(
        select s.intent_id from payment_sources as s where s.tenant_id = $1 and s.source_id = $4 and s.kind = $5
    )))
    and ($6::text is null or p.external_reference = $6)
    and ($7::text is null or case when p.status = 'authorized' and p.expires_at <= $8 then 'expired' else p.status end = $7)
"""

OF_SOURCE = f"""
from payment_intents as p
where p.tenant_id = $1 and p.id = any(array(
        select f.intent_id from payment_sources as f where f.tenant_id = $1 and f.source_id = $4
    )) {WANTED}
"""

OF_REFERENCE = f"from payment_intents as p where p.tenant_id = $1 and p.external_reference = $6 {WANTED}"

OF_PARTNER = f"from payment_intents as p where p.tenant_id = $1 and p.partner_id = $2 {WANTED}"

OF_MERCHANTS = f"from payment_intents as p where p.tenant_id = $1 and p.merchant_id = any($3) {WANTED}"

OF_PROGRAMME = f"from payment_intents as p where p.tenant_id = $1 {WANTED}"

PAGE = "order by p.created_at desc, p.id desc offset $9 limit $10"

COUNT_OF_SOURCE = f"select count(*) {OF_SOURCE}"
LIST_OF_SOURCE = f"select {INTENT} {OF_SOURCE} {PAGE}"
COUNT_OF_REFERENCE = f"select count(*) {OF_REFERENCE}"
LIST_OF_REFERENCE = f"select {INTENT} {OF_REFERENCE} {PAGE}"
COUNT_OF_PARTNER = f"select count(*) {OF_PARTNER}"
LIST_OF_PARTNER = f"select {INTENT} {OF_PARTNER} {PAGE}"
COUNT_OF_MERCHANTS = f"select count(*) {OF_MERCHANTS}"
LIST_OF_MERCHANTS = f"select {INTENT} {OF_MERCHANTS} {PAGE}"
COUNT_OF_PROGRAMME = f"select count(*) {OF_PROGRAMME}"
LIST_OF_PROGRAMME = f"select {INTENT} {OF_PROGRAMME} {PAGE}"


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a batch claims: keys, each once, and the tills' references, each once with the payment that would have it."""

    operation: str
    keys: Sequence[Claim]
    references: Sequence[TillReference]

    def columns(self) -> tuple[object, ...]:
        return (
            self.operation,
            [claim.partner_id for claim in self.keys],
            [claim.key for claim in self.keys],
            [claim.fingerprint for claim in self.keys],
            [claim.resource_id for claim in self.keys],
            *_reference_columns(self.references),
        )


@dataclass(frozen=True, slots=True)
class Sought:
    """What a batch must lock and read. `sources` are (kind, id, merchant), each once; `payable` are accounts to be credited."""

    merchant_ids: Sequence[UUID]
    sources: Sequence[tuple[SourceKind, UUID, UUID]]
    payable: Sequence[UUID]

    def columns(self) -> tuple[object, ...]:
        return (
            self.merchant_ids,
            [kind for kind, _, _ in self.sources],
            [source_id for _, source_id, _ in self.sources],
            [merchant_id for _, _, merchant_id in self.sources],
            list({source_id for kind, source_id, _ in self.sources if kind == "giftCard"}),
            self.payable,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which payments a list shows; None: whichever. `merchant_ids` are those that the asker may act for and asks for."""

    partner_id: UUID | None
    merchant_ids: Sequence[UUID] | None
    source: tuple[SourceKind, UUID] | None
    reference: str | None
    status: Status | None


async def claim(work: Work, claimed: Claimed) -> Row:
    """Claim keys and references; those that earlier requests hold come back."""
    row = await work.db.row(CLAIM, work.tenant.id, work.now, work.real_now, *claimed.columns())
    assert row is not None, "a claim answers one row"
    return row


async def look(work: Work, claimed: Claimed, sought: Sought) -> Row:
    """Claim, lock and read everything that authorising must know, in one round trip."""
    row = await work.db.row(LOOK, work.tenant.id, work.now, work.real_now, *claimed.columns(), *sought.columns())
    assert row is not None, "a look answers one row"
    return row


async def forget_references(work: Work, claimed: Sequence[TillReference]) -> None:
    """Take back the references that refused payments claimed."""
    if claimed:
        await work.db.run(FORGET_REFERENCES, work.tenant.id, *_reference_columns(claimed))


async def give_references(work: Work, won: Sequence[TillReference]) -> None:
    """Let references stand for a later payment of the batch, since the first that wanted them was refused."""
    if won:
        await work.db.run(GIVE_REFERENCES, work.tenant.id, *_reference_columns(won))


async def listed(work: Work, wanted: Wanted, offset: int, limit: int) -> tuple[list[PaymentIntent], int]:
    """One page of payments, newest first, and how many there are in all."""
    count, page = _statements(wanted)
    kind, source_id = (None, None) if wanted.source is None else wanted.source
    asked = (
        work.tenant.id,
        wanted.partner_id,
        wanted.merchant_ids,
        source_id,
        kind,
        wanted.reference,
        wanted.status,
        work.now,
    )
    total: int = await work.db.value(count, *asked)
    rows = await work.db.rows(page, *asked, offset, limit) if offset < total else []
    return [PaymentIntent(*row) for row in rows], total


def _statements(wanted: Wanted) -> tuple[str, str]:
    if wanted.source is not None:
        return COUNT_OF_SOURCE, LIST_OF_SOURCE
    if wanted.reference is not None:
        return COUNT_OF_REFERENCE, LIST_OF_REFERENCE
    if wanted.partner_id is not None:
        return COUNT_OF_PARTNER, LIST_OF_PARTNER
    if wanted.merchant_ids is not None:
        return COUNT_OF_MERCHANTS, LIST_OF_MERCHANTS
    return COUNT_OF_PROGRAMME, LIST_OF_PROGRAMME


def _reference_columns(references: Sequence[TillReference]) -> tuple[Sequence[object], ...]:
    return (
        [each.partner_id for each in references],
        [each.merchant_id for each in references],
        [each.reference for each in references],
        [each.intent_id for each in references],
    )
