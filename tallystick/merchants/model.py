"""Merchants as values, their settings, and the pure decision which of them a request is for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID
from zoneinfo import available_timezones

from msgspec import UNSET, UnsetType
from phonenumbers import SUPPORTED_REGIONS

from tallystick.base import money
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.work import Asked, Caller

Status = Literal["active", "closed"]
FundingMode = Literal["invoiced", "prefunded"]
Attribution = Literal["immediate", "reconciled"]

NAME_MAX: Final = 200
CLAIM_DAYS_MAX: Final = 3650
CAP_MAX: Final = 2**53 - 1
"""The largest cap or limit, in minor units: the largest whole number that every JSON reader keeps."""

MACHINE_ZONES: Final = frozenset({"localtime", "Factory"})
"""Names in a machine's zone files that mean another zone on another machine."""


class InsufficientFunding(Refusal):
    code, status, title = "InsufficientFunding", 409, "The merchant's funding does not cover this."


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant as its row was. Maxima are minor units of `currency`; None: no maximum."""

    id: UUID
    name: str
    currency: str
    country: str
    time_zone: str
    status: Status
    claim_days: int
    pre_issuing: bool
    stacking: bool
    funding_mode: FundingMode
    reward_maximum: int | None
    phone_day_maximum: int | None
    receivable_account_id: UUID
    prefund_account_id: UUID
    region: str | None = None
    """ISO 3166-2 subdivision (`US-CA`), where the law of gift cards depends on it."""
    value_days: int | None = None
    """For how many days rewards can be spent once a wallet has them; None: for ever."""

    @property
    def funding_account_id(self) -> UUID:
        """The account that pays for rewards: what the merchant owes us, or what it paid ahead."""
        return self.receivable_account_id if self.funding_mode == "invoiced" else self.prefund_account_id


@dataclass(frozen=True, slots=True)
class SpendingTerms:
    """On what terms a merchant's value is spent. Maxima are minor units of its currency; None: no bound.

    A day is the merchant's own, from midnight to midnight in its time zone.
    """

    payment_minimum: int | None = None
    payment_maximum: int | None = None
    wallet_day_maximum: int | None = None
    wallet_day_count: int | None = None
    card_day_maximum: int | None = None
    card_day_count: int | None = None
    merchant_day_maximum: int | None = None
    card_maximum: int | None = None
    """The most one gift card may hold."""
    adjust_maximum: int | None = None
    """The largest adjustment of a card that one person may make alone."""
    authorization_days: int = 7
    """For how long an authorisation holds value unless it is captured or cancelled."""
    refund_grace_days: int = 30
    """For how long value can be spent that a refund brings back after it had expired."""
    expiry_notice_days: int = 14
    """How long before value expires its holder is told."""
    member_code_pays: bool = False
    """Whether the member code, which never changes, is enough to pay with."""


@dataclass(frozen=True, slots=True)
class ActivityTerms:
    """How a merchant takes activity: counted at once, or pending until it is reconciled."""

    activity_attribution: Attribution = "immediate"
    activity_release_days: int | None = None
    """After how many days what waits is released by itself; None: only by whoever reconciles."""
    activity_unknown_days: int = 30
    """For how long activity of a customer that nobody knows waits for them to become known."""
    return_count_signal: int | None = None
    """So many returns of one customer within `return_window_days` are told of; None: none are."""
    return_window_days: int = 30


DAYS_OF_TERMS: Final = {"authorization_days": 365, "refund_grace_days": 3650, "expiry_notice_days": 365}
COUNTS_OF_TERMS: Final = ("wallet_day_count", "card_day_count")
CAPS_OF_TERMS: Final = (
    "payment_minimum",
    "payment_maximum",
    "wallet_day_maximum",
    "card_day_maximum",
    "merchant_day_maximum",
    "card_maximum",
    "adjust_maximum",
)
VALUE_DAYS_MAX: Final = 36_500
COUNT_MAX: Final = 1_000_000
REGION: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class NewMerchant:
    """A merchant to add. `credit_limit` bounds what an invoiced one may owe, in minor units; None: no bound."""

    name: str
    currency: str
    country: str
    time_zone: str
    claim_days: int = 90
    pre_issuing: bool = True
    stacking: bool = False
    funding_mode: FundingMode = "invoiced"
    credit_limit: int | None = None
    reward_maximum: int | None = None
    phone_day_maximum: int | None = None
    region: str | None = None
    value_days: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of a merchant; what is not set stays. None takes a maximum or a limit away."""

    status: Status | UnsetType = UNSET
    claim_days: int | UnsetType = UNSET
    pre_issuing: bool | UnsetType = UNSET
    stacking: bool | UnsetType = UNSET
    reward_maximum: int | UnsetType | None = UNSET
    phone_day_maximum: int | UnsetType | None = UNSET
    funding_mode: FundingMode | UnsetType = UNSET
    credit_limit: int | UnsetType | None = UNSET
    region: str | UnsetType | None = UNSET
    value_days: int | UnsetType | None = UNSET
    payment_minimum: int | UnsetType | None = UNSET
    payment_maximum: int | UnsetType | None = UNSET
    wallet_day_maximum: int | UnsetType | None = UNSET
    wallet_day_count: int | UnsetType | None = UNSET
    card_day_maximum: int | UnsetType | None = UNSET
    card_day_count: int | UnsetType | None = UNSET
    merchant_day_maximum: int | UnsetType | None = UNSET
    card_maximum: int | UnsetType | None = UNSET
    adjust_maximum: int | UnsetType | None = UNSET
    authorization_days: int | UnsetType = UNSET
    refund_grace_days: int | UnsetType = UNSET
    expiry_notice_days: int | UnsetType = UNSET
    member_code_pays: bool | UnsetType = UNSET
    activity_attribution: Attribution | UnsetType = UNSET
    activity_release_days: int | UnsetType | None = UNSET
    activity_unknown_days: int | UnsetType = UNSET
    return_count_signal: int | UnsetType | None = UNSET
    return_window_days: int | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class ConfigureMerchant:
    """A partner's wish to change the settings of a merchant."""

    asked: Asked
    merchant_id: UUID
    changes: Changes


@dataclass(frozen=True, slots=True)
class Funding:
    """How a merchant pays for rewards, and the minor units that are left for new ones; None: without bound."""

    mode: FundingMode
    currency: str
    available: int | None


@dataclass(frozen=True, slots=True)
class MerchantRef:
    """What a request needs to know of its merchant before any work begins."""

    id: UUID
    country: str
    active: bool


@dataclass(frozen=True, slots=True)
class TenantMerchants:
    """Every merchant of one tenant, and the only active one where there is just one."""

    by_id: Mapping[UUID, MerchantRef]
    only: MerchantRef | None
    active: int

    @classmethod
    def of(cls, merchants: Sequence[MerchantRef]) -> "TenantMerchants":
        active = [merchant for merchant in merchants if merchant.active]
        only = active[0] if len(active) == 1 else None
        return cls({merchant.id: merchant for merchant in merchants}, only, len(active))


def may_act_for(caller: Caller, merchant_id: UUID) -> bool:
    """Whether the client is not kept from this merchant, if there is one."""
    return caller.merchant_ids is None or merchant_id in caller.merchant_ids


def choose(caller: Caller, merchants: TenantMerchants, named: UUID | None) -> MerchantRef | InvalidRequest:
    """The merchant a request is for: the one it names, or the only one that its client may act for.

    A merchant of someone else is refused exactly as one that does not exist.
    """
    allowed = caller.merchant_ids
    if named is not None:
        found = merchants.by_id.get(named) if may_act_for(caller, named) else None
        return found or _refused("There is no such merchant that you may act for.")
    if allowed is None:
        only, several = merchants.only, merchants.active > 1
    elif len(allowed) == 1:
        only, several = merchants.by_id.get(allowed[0]), False
    else:
        mine = [ref for each in allowed if (ref := merchants.by_id.get(each)) is not None and ref.active]
        only, several = (mine[0] if len(mine) == 1 else None), len(mine) > 1
    if only is not None:
        return only
    if several:
        return _refused("You may act for several merchants: name one.")
    return _refused("There is no active merchant that you may act for.")


def faults(new: NewMerchant) -> list[Refusal]:
    """Everything that is wrong with a merchant to add."""
    changes = Changes(
        claim_days=new.claim_days,
        reward_maximum=new.reward_maximum,
        phone_day_maximum=new.phone_day_maximum,
        credit_limit=new.credit_limit,
        region=new.region,
        value_days=new.value_days,
    )
    checks = [
        (_is_name(new.name), "name", f"A name has 1 to {NAME_MAX} printable characters."),
        (money.is_currency(new.currency), "currency", "The currency is an ISO 4217 code in capitals, such as EUR."),
        (new.country in SUPPORTED_REGIONS, "country", "The country is an ISO 3166-1 code in capitals, such as DE."),
        (
            new.time_zone not in MACHINE_ZONES and new.time_zone in available_timezones(),
            "timeZone",
            "The time zone is a name of the IANA database, such as Europe/Berlin.",
        ),
    ]
    wrong: list[Refusal] = [InvalidRequest(detail, source=attribute(name)) for ok, name, detail in checks if not ok]
    return wrong + faults_of_changes(changes)


def faults_of_changes(changes: Changes) -> list[Refusal]:
    """Everything that is wrong with changed settings."""
    wrong: list[Refusal] = []
    if changes.claim_days is not UNSET and not 1 <= changes.claim_days <= CLAIM_DAYS_MAX:
        wrong.append(InvalidRequest(f"Between 1 and {CLAIM_DAYS_MAX} days.", source=attribute("claimDays")))
    caps = (("rewardMaximum", changes.reward_maximum, 1), ("phoneDayMaximum", changes.phone_day_maximum, 1))
    for name, cap, least in (*caps, ("creditLimit", changes.credit_limit, 0)):
        if cap is not UNSET and cap is not None and not least <= cap <= CAP_MAX:
            detail = f"Between {least} and {CAP_MAX} minor units, or null for none."
            wrong.append(InvalidRequest(detail, source=attribute(name)))
    if isinstance(changes.region, str) and not REGION.fullmatch(changes.region):
        detail = "The region is an ISO 3166-2 code such as US-CA, or null for none."
        wrong.append(InvalidRequest(detail, source=attribute("region")))
    return wrong + _faults_of_terms(changes)


def _faults_of_terms(changes: Changes) -> list[Refusal]:
    bounds = [
        *((name, 0 if name == "adjust_maximum" else 1, CAP_MAX, "minor units") for name in CAPS_OF_TERMS),
        *((name, 1, COUNT_MAX, "payments") for name in COUNTS_OF_TERMS),
        *((name, 1, most, "days") for name, most in DAYS_OF_TERMS.items()),
        ("value_days", 1, VALUE_DAYS_MAX, "days"),
        ("activity_release_days", 0, 365, "days"),
        ("activity_unknown_days", 0, 365, "days"),
        ("return_window_days", 1, 365, "days"),
        ("return_count_signal", 1, COUNT_MAX, "returns"),
    ]
    wrong: list[Refusal] = []
    for name, least, most, unit in bounds:
        given = getattr(changes, name)
        if given is not UNSET and given is not None and not least <= given <= most:
            wrong.append(InvalidRequest(f"Between {least} and {most} {unit}.", source=attribute(camel(name))))
    return wrong


def camel(name: str) -> str:
    """A field's name on the wire."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_MAX and name.isprintable() and not name.isspace()


def _refused(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, source=attribute("merchantId"))
