"""Customers as values: who they are, what changing a phone means, and the errors of asking otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar
from uuid import UUID

import msgspec

from tallystick.base import clock
from tallystick.base.errors import InvalidRequest, InvalidState, Refusal, attribute
from tallystick.base.keys import SubjectKey
from tallystick.base.work import Asked, Caller

T = TypeVar("T")
Status = Literal["active", "merged", "erased"]
Given = str | msgspec.UnsetType | None
"""A field of a change: UNSET leaves it as it is, None clears it."""

COOLING_OFF: Final = timedelta(hours=24)
"""How long after a change of phone a partner's word does not verify the new one; a one-time code does at once."""

NAME_MAX: Final = 100
EMAIL_MAX: Final = 254
EXTERNAL_ID_MAX: Final = 255


class ExternalIdTaken(Refusal):
    code, status, title = "ExternalIdTaken", 409, "Another user already has this external id."


@dataclass(frozen=True, slots=True)
class Personal:
    """What names a person; sealed under their own key."""

    phone: str | None = None
    """E.164."""
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone_changed_at: datetime | None = None
    """When an earlier phone last gave way; None while the first one, or none, was ever set."""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as their row stands, opened. Several may share one phone, and so one recipient."""

    id: UUID
    partner_id: UUID
    recipient_id: UUID | None
    phone_verified_at: datetime | None
    key: SubjectKey
    personal: Personal
    external_id: str | None
    member_code: str
    status: Status
    version: int
    created_at: datetime
    updated_at: datetime
    merged_into: UUID | None = None
    """The customer that they turned out to be."""

    @property
    def is_verified(self) -> bool:
        """Whether the phone they have now is known to be theirs."""
        return self.phone_verified_at is not None

    def visible_to(self, caller: Caller) -> bool:
        """Whether the caller may know of them: its partner made them, or it sees the programme."""
        return caller.sees_programme or self.partner_id == caller.partner_id


@dataclass(frozen=True, slots=True)
class Merge:
    """Two customers that turned out to be one; undone, when they turned out to be two after all."""

    id: UUID
    customer_id: UUID
    into_customer_id: UUID
    merged_at: datetime
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class CreateUser:
    """A partner's wish for a new customer. The phone is in E.164."""

    asked: Asked
    phone: str | None = None
    phone_verified: bool = False
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeUser:
    """Change the named fields of a customer. The phone is in E.164."""

    asked: Asked
    user_id: UUID
    phone: Given = msgspec.UNSET
    phone_verified: bool | msgspec.UnsetType = msgspec.UNSET
    email: Given = msgspec.UNSET
    first_name: Given = msgspec.UNSET
    last_name: Given = msgspec.UNSET
    external_id: Given = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class SendCode:
    """Send the customer a one-time code, to prove that the phone is theirs."""

    asked: Asked
    user_id: UUID


@dataclass(frozen=True, slots=True)
class VerifyPhone:
    """The code that the customer read out."""

    asked: Asked
    user_id: UUID
    code: str


def refuse_new(command: CreateUser) -> Refusal | None:
    """Why this customer cannot be made, whoever else there is."""
    return _no_phone_to_verify() if command.phone_verified and command.phone is None else None


def changed(customer: Customer, command: ChangeUser, now: datetime) -> Customer | Refusal:
    """The customer as the change makes them; `recipient_id` still is the old phone's.

    Another phone is unverified, whatever the old one was. A partner's word verifies it only after the cooling-off, so that
    whoever takes over an account cannot at once collect what waits for a phone they merely name.
    """
    if customer.status != "active":
        return not_active(customer)
    old = customer.personal
    phone = kept(command.phone, old.phone)
    moves = phone != old.phone
    gave_way = moves and (old.phone is not None or old.phone_changed_at is not None)
    phone_changed_at = now if gave_way else old.phone_changed_at
    verified_at = None if moves else customer.phone_verified_at
    if command.phone_verified is False:
        verified_at = None
    elif command.phone_verified is True and verified_at is None:
        refusal = _refuse_word(phone, phone_changed_at, now)
        if refusal is not None:
            return refusal
        verified_at = now
    personal = Personal(
        phone=phone,
        email=kept(command.email, old.email),
        first_name=kept(command.first_name, old.first_name),
        last_name=kept(command.last_name, old.last_name),
        phone_changed_at=phone_changed_at,
    )
    return replace(
        customer,
        personal=personal,
        phone_verified_at=verified_at,
        external_id=kept(command.external_id, customer.external_id),
    )


def kept(new: T | msgspec.UnsetType, old: T) -> T:
    """What a field becomes: the old value where the change does not name it."""
    return old if isinstance(new, msgspec.UnsetType) else new


def not_active(customer: Customer) -> InvalidState:
    """The refusal for a customer who was merged into another or erased."""
    return InvalidState(f"The user is {customer.status}; nothing about them can change any more.")


def canonical(command: CreateUser | ChangeUser | SendCode | VerifyPhone, names: Sequence[str]) -> bytes:
    """The named fields as one text, for the fingerprint; a field that is absent differs from one that is cleared."""
    fields = (getattr(command, name) for name in names)
    return msgspec.json.encode([None if field is msgspec.UNSET else [field] for field in fields])


def _refuse_word(phone: str | None, changed_at: datetime | None, now: datetime) -> Refusal | None:
    if phone is None:
        return _no_phone_to_verify()
    if changed_at is None or changed_at + COOLING_OFF <= now:
        return None
    return InvalidState(
        "The phone number changed within the last 24 hours. Change it without phoneVerified, then verify it by a one-time "
        f"code, or say that it is verified after {clock.render(changed_at + COOLING_OFF)}.",
        source=attribute("phoneVerified"),
    )


def _no_phone_to_verify() -> InvalidRequest:
    return InvalidRequest("Without a phone number there is nothing to verify.", source=attribute("phoneVerified"))
