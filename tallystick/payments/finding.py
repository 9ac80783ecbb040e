"""Which wallet or card a code stands for: one that a holder shows at the till, or the number of a gift card.

Whatever stands for nothing that can be told is refused alike, and counted as a lookup that found nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from tallystick.base.errors import Refusal
from tallystick.base.errors import Source as Place
from tallystick.base.work import Work
from tallystick.giftcards import lookup, spending
from tallystick.payments.deciding import AuthorizePayment, Found, SourceAsked
from tallystick.wallets import till_codes
from tallystick.wallets.till_codes import TillCodeTried

Coded = tuple[AuthorizePayment, SourceAsked, str]
"""A source that is named by a code, and the code."""


async def find(
    work: Work, commands: Sequence[AuthorizePayment], taken: Collection[tuple[UUID, str]]
) -> list[list[Found | Refusal]]:
    """What the sources of each command are; nothing for those whose key is `taken`: they are replays, and try no code."""
    asking = [command for command in commands if (command.asked.caller.partner_id, command.key) not in taken]
    by_code = iter(await _find_codes(work, list(_coded(asking))))
    wanted = {id(command) for command in asking}
    return [
        [_named(source) or next(by_code) for source in command.sources] if id(command) in wanted else []
        for command in commands
    ]


def _coded(commands: Sequence[AuthorizePayment]) -> Iterator[Coded]:
    for command in commands:
        for source in command.sources:
            if source.code is not None:
                yield command, source, source.code


def _named(source: SourceAsked) -> Found | None:
    if source.kind is None or source.source_id is None:
        return None
    return Found(source.kind, source.source_id)


async def _find_codes(work: Work, tried: Sequence[Coded]) -> list[Found | Refusal]:
    """What each of the codes is, in their order. A till's own codes are locked until the work ends; then cards are looked for."""
    if not tried:
        return []
    shown = [TillCodeTried(command.merchant_id, code) for command, _, code in tried]
    held = await till_codes.find(work, shown, use=True)
    numbers = [
        spending.CodeTried(command.asked, command.merchant_id, code, source.pin)
        for command, source, code in tried
        if code not in held
    ]
    cards = iter(await spending.find_codes(work, numbers))
    return [
        _wallet(held[code], code, source) if code in held else _card(next(cards), source) for _, source, code in tried
    ]


def _wallet(wallet_id: UUID, code: str, source: SourceAsked) -> Found:
    written = till_codes.normalised(code)
    if not till_codes.well_formed(written):
        return Found("wallet", wallet_id)
    return Found("wallet", wallet_id, written, lookup.refused(source.place))


def _card(outcome: UUID | Refusal, source: SourceAsked) -> Found | Refusal:
    return _at(outcome, source.place) if isinstance(outcome, Refusal) else Found("giftCard", outcome)


def _at(refusal: Refusal, place: Place) -> Refusal:
    """The same refusal, which says where in the request the code stands."""
    return type(refusal)(refusal.detail, source=place, headers=refusal.headers)
