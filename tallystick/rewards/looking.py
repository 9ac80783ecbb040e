"""What issuing must know, read in one round trip under its locks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

import tallystick.rewards.store as store
from tallystick.base import idempotency
from tallystick.base.idempotency import Claim
from tallystick.base.work import Work
from tallystick.customers.recipients import Candidates, Recipient
from tallystick.governance import quotas
from tallystick.merchants import Merchant
from tallystick.rewards.model import QUOTA, Facts, Funds, IssueReward
from tallystick.wallets import WalletFact


class _Key(msgspec.Struct, array_like=True, gc=False):
    partner_id: UUID
    key: str
    fingerprint: bytes
    reward_id: UUID


class _Account(msgspec.Struct, array_like=True, gc=False):
    id: UUID
    floor: int | None
    balance: int
    held: int


_keys = msgspec.json.Decoder(list[_Key]).decode
_merchants = msgspec.json.Decoder(list[Merchant]).decode
_wallets = msgspec.json.Decoder(list[WalletFact]).decode
_waiting = msgspec.json.Decoder(list[tuple[UUID, UUID, UUID]]).decode
_accounts = msgspec.json.Decoder(list[_Account]).decode


async def look(
    work: Work, operation: str, commands: Sequence[IssueReward], claims: Sequence[Claim]
) -> tuple[Facts, dict[str, Recipient]]:
    """Lock keys, recipients, quotas near their limit and accounts, and only then read: a statement that waited for its own lock
    reads the past.
    """
    wanted = Candidates.of(work, [command.phone for command in commands])
    merchant_ids = list({command.merchant_id for command in commands})
    asked = quotas.asked([(each.asked.caller.partner_id, QUOTA, each.amount) for each in commands])
    row = await store.look(work, operation, idempotency.first_of_each(claims), wanted, merchant_ids, asked)
    people = wanted.known(work, row["recipient_indexes"], row["recipient_ids"], row["recipient_keys"])
    accounts = {account.id: account for account in _accounts(row["accounts"] or "[]")}
    facts = Facts(
        now=work.now,
        merchants={shop.id: shop for shop in _merchants(row["merchants"] or "[]")},
        recipients={phone: person.id for phone, person in people.items()},
        wallets={},
        waiting=set(_waiting(row["waiting"] or "[]")),
        given_today={},
        funds={account.id: Funds(_left(account)) for account in accounts.values()},
        strangers={person.id for person in people.values()}.intersection(wanted.ids),
        owed={account.id: -account.balance for account in accounts.values()},
        keys={(key.partner_id, key.key): (key.fingerprint, key.reward_id) for key in _keys(row["taken"] or "[]")},
        quotas=quotas.read(work, row["quotas"]),
    )
    for wallet in _wallets(row["wallets"] or "[]"):
        facts.wallets.setdefault((wallet.recipient_id, wallet.merchant_id), []).append(wallet)
    await _read_given_today(work, commands, facts)
    return facts, people


def _left(account: _Account) -> int | None:
    return None if account.floor is None else account.balance - account.held - account.floor


async def _read_given_today(work: Work, commands: Sequence[IssueReward], facts: Facts) -> None:
    """What each person got from each merchant on the day that it is there; asked only where the merchant sets a daily maximum."""
    for command in commands:
        shop = facts.merchants.get(command.merchant_id)
        if shop is None or shop.phone_day_maximum is None:
            continue
        place = (facts.recipients[command.phone], shop.id)
        if place not in facts.given_today:
            facts.given_today[place] = await store.given_between(work, *place, *day_of(work.now, shop.time_zone))


def day_of(at: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """The day that an instant falls in, in a time zone: where it begins, and where the next one does."""
    begins = at.astimezone(ZoneInfo(time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return begins, begins + timedelta(days=1)  # by the clock on the wall, however many hours that is
