"""What authorising must know, read under its locks: in one round trip, or in two with the search for codes between them."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

import tallystick.payments.look_store as look_store
from tallystick.base import idempotency
from tallystick.base.db import Row
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Claim
from tallystick.base.work import Work
from tallystick.ledger import Lot, house_account, lots
from tallystick.merchants import SpendingTerms
from tallystick.payments import finding
from tallystick.payments.deciding import AuthorizePayment, Facts, Found, Holder, Reference, Shop, reference_of
from tallystick.payments.look_store import Claimed, Sought
from tallystick.payments.model import SourceKind, TillReference
from tallystick.payments.velocity import Counters, Spent


class _Key(msgspec.Struct, array_like=True, gc=False):
    partner_id: UUID
    key: str
    fingerprint: bytes
    intent_id: UUID


class _Reference(msgspec.Struct, array_like=True, gc=False):
    partner_id: UUID
    merchant_id: UUID
    reference: str
    intent_id: UUID | None
    is_reversed: bool


class _Merchant(msgspec.Struct, gc=False):
    id: UUID
    status: str
    currency: str
    day: date


class _TermsOf(msgspec.Struct, gc=False):
    merchant_id: UUID


class _Wallet(msgspec.Struct, array_like=True, gc=False):
    id: UUID
    merchant_id: UUID
    status: str


class _Card(msgspec.Struct, array_like=True, gc=False):
    id: UUID
    merchant_id: UUID
    status: str
    expires_at: datetime | None


_keys = msgspec.json.Decoder(list[_Key]).decode
_references = msgspec.json.Decoder(list[_Reference]).decode
_merchants = msgspec.json.Decoder(list[_Merchant]).decode
_terms = msgspec.json.Decoder(list[SpendingTerms]).decode
_terms_of = msgspec.json.Decoder(list[_TermsOf]).decode
_days = msgspec.json.Decoder(list[tuple[UUID, date, int, int]]).decode
_wallets = msgspec.json.Decoder(list[_Wallet]).decode
_cards = msgspec.json.Decoder(list[_Card]).decode
_lots = msgspec.json.Decoder(list[Lot]).decode

Known = tuple[dict[tuple[UUID, str], tuple[bytes, UUID]], dict[Reference, tuple[UUID | None, bool]]]
"""The keys and the references that earlier requests hold."""


async def look(
    work: Work, operation: str, commands: Sequence[AuthorizePayment], claims: Sequence[Claim]
) -> tuple[Facts, list[list[Found | Refusal]]]:
    """The facts, and what the sources of each command are.

    Keys come first: a code whose payment was made is used up, and its replay must not look for it again.
    """
    claimed = Claimed(operation, idempotency.first_of_each(claims), wanted_references(commands, claims))
    known: Known = ({}, {})
    if any(source.code is not None for command in commands for source in command.sources):
        known = _known(await look_store.claim(work, claimed))
        claimed = Claimed(operation, (), ())
    found = await finding.find(work, commands, known[0])
    row = await look_store.look(work, claimed, _sought(commands, found))
    keys, references = _known(row)
    return _facts(work, row, (known[0] | keys, known[1] | references)), found


def wanted_references(commands: Sequence[AuthorizePayment], claims: Sequence[Claim]) -> list[TillReference]:
    """Each reference once, with the first payment that wants it."""
    first: dict[Reference, TillReference] = {}
    for command, claim in zip(commands, claims, strict=True):
        if command.external_reference is not None:
            name = reference_of(command, command.external_reference)
            first.setdefault(name, TillReference(*name, claim.resource_id, None))
    return list(first.values())


def _sought(commands: Sequence[AuthorizePayment], found: Sequence[Sequence[Found | Refusal]]) -> Sought:
    sources: dict[tuple[SourceKind, UUID, UUID], None] = {}
    for command, each in zip(commands, found, strict=True):
        for source in each:
            if isinstance(source, Found):
                sources[source.kind, source.id, command.merchant_id] = None
    paying = {command.merchant_id for command in commands if command.capture == "automatic"}
    return Sought(
        list({command.merchant_id for command in commands}),
        list(sources),
        [house_account(merchant_id, "merchant.payable") for merchant_id in paying],
    )


def _known(row: Row) -> Known:
    return (
        {(key.partner_id, key.key): (key.fingerprint, key.intent_id) for key in _keys(row["taken"] or "[]")},
        {
            (each.partner_id, each.merchant_id, each.reference): (each.intent_id, each.is_reversed)
            for each in _references(row["referenced"] or "[]")
        },
    )


def _facts(work: Work, row: Row, known: Known) -> Facts:
    terms = row["terms"] or "[]"
    of = dict(zip((each.merchant_id for each in _terms_of(terms)), _terms(terms), strict=True))
    holders = [Holder("wallet", each.id, each.merchant_id, each.status) for each in _wallets(row["wallets"] or "[]")]
    holders += [
        Holder("giftCard", each.id, each.merchant_id, each.status, each.expires_at)
        for each in _cards(row["cards"] or "[]")
    ]
    held: dict[UUID, list[Lot]] = {}
    for lot in _lots(row["lots"] or "[]"):
        held.setdefault(lot.parent_id, []).append(lot)
    return Facts(
        now=work.now,
        shops={
            each.id: Shop(each.id, each.status, each.currency, each.day, of.get(each.id, SpendingTerms()))
            for each in _merchants(row["merchants"] or "[]")
        },
        holders={holder.id: holder for holder in holders},
        lots={holder_id: lots.burn_order(each, work.now) for holder_id, each in held.items()},
        held={holder_id: sum(lot.held for lot in each) for holder_id, each in held.items()},
        counters=Counters(
            {(subject_id, day): Spent(count, amount) for subject_id, day, count, amount in _days(row["days"] or "[]")}
        ),
        keys=known[0],
        references=known[1],
    )
