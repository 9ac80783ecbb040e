"""Look a gift card up by its number in one transaction, as the product does, a request at a time, through the ORM.

Left out, in its favour, since no measured request meets it: PINs, and the events of canaries and of guessers.
"""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.usual.issuing import Principal, Refused
from benchmarks.usual.models import Account
from benchmarks.usual.spending import log_row
from benchmarks.usual.spending_documents import Balance, CardDocument, LookUpAttributes, card_shown
from benchmarks.usual.spending_models import Canary, GiftCard, LookupWindow
from tallystick.base import clock, ids
from tallystick.base.keys import MasterKeys
from tallystick.giftcards import codes

LOOKUPS = "/api/v1/gift-cards/lookup"
WINDOW = timedelta(minutes=10)


async def look_up(session: AsyncSession, keys: MasterKeys, who: Principal, wanted: LookUpAttributes) -> bytes:
    """The card with this number and what it holds. The count of the client's lookups is locked last, and briefly."""
    now = clock.utc()
    index = keys.blind_index(who.tenant_id, f"gift-card:{codes.canonical(wanted.code) or '-'}")
    window = await session.get(LookupWindow, (who.tenant_id, who.client_id))
    if window is not None and window.blocked_until is not None and now < window.blocked_until:
        raise Refused(429, "LookupsBlocked", "This credential may look for no card for a while.")
    held = (
        select(
            func.coalesce(
                func.sum(Account.balance - Account.held).filter(
                    Account.expires_at.is_(None) | (Account.expires_at > now)
                ),
                0,
            ).label("available"),
            func.coalesce(func.sum(Account.held), 0).label("held"),
        )
        .where(
            Account.tenant_id == who.tenant_id,
            Account.parent_id == GiftCard.id,
            Account.code == "card.lot",
            Account.balance > 0,
        )
        .correlate(GiftCard)
        .lateral()
    )
    row = (
        await session.execute(
            select(GiftCard, held.c.available, held.c.held)
            .join(held, true())
            .where(GiftCard.tenant_id == who.tenant_id, GiftCard.code_index == index)
        )
    ).first()
    canary = await session.scalar(
        select(Canary.label).where(Canary.tenant_id == who.tenant_id, Canary.code_index == index)
    )
    found = row is not None and canary is None and _may_see(who, wanted, row[0])
    if row is not None and found:
        session.add(log_row(who, LOOKUPS, 200, ids.new(), row[0].id, now))
        await session.flush()
    await _count(session, who, now, missed=not found)
    if row is None or not found:
        # The count of a refused lookup is kept: the transaction commits before the refusal is told.
        await session.commit()
        raise Refused(404, "CodeRefused", "The code is not valid here or cannot be tried just now.")
    shown = card_shown(row[0], Balance(available=int(row[1]), held=int(row[2])), now)
    return CardDocument(data=shown).model_dump_json(by_alias=True).encode()


def _may_see(who: Principal, wanted: LookUpAttributes, card: GiftCard) -> bool:
    if card.status in ("cancelled", "replaced"):
        return False
    if wanted.merchant_id is not None and card.merchant_id != wanted.merchant_id:
        return False
    return who.merchant_ids is None or card.merchant_id in who.merchant_ids


async def _count(session: AsyncSession, who: Principal, now: datetime, *, missed: bool) -> None:
    """One more lookup of the client in its window of ten minutes, or the first of a new one."""
    fresh = insert(LookupWindow).values(
        tenant_id=who.tenant_id, client_id=who.client_id, window_start=now, tried=1, missed=int(missed)
    )
    over = LookupWindow.window_start <= now - WINDOW
    await session.execute(
        fresh.on_conflict_do_update(
            index_elements=[LookupWindow.tenant_id, LookupWindow.client_id],
            set_={
                "window_start": case((over, now), else_=LookupWindow.window_start),
                "tried": case((over, 1), else_=LookupWindow.tried + 1),
                "missed": case((over, int(missed)), else_=LookupWindow.missed + int(missed)),
            },
        ).execution_options(synchronize_session=False)
    )
