"""What goes in and out over HTTP, as pydantic models: the names, limits and order of the product's own documents."""

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

A = TypeVar("A")


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _present(text: str | None) -> str | None:
    """Blank text is absent."""
    return text if text is not None and text.strip() else None


Instant = Annotated[datetime, PlainSerializer(_instant, return_type=str)]
EMAIL = r"^(\s*|[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+)$"


class Camel(BaseModel):
    """Snake case inside, camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class IssueRewardAttributes(Camel):
    phone_number: Annotated[str, Field(min_length=1, max_length=40)]
    amount: Annotated[int, Field(strict=True, ge=1, le=2_147_483_647)]
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)]
    message: Annotated[str | None, Field(max_length=500), AfterValidator(_present)] = None
    reason_code: Annotated[str | None, Field(max_length=100), AfterValidator(_present)] = None
    cost_center: Annotated[str | None, Field(max_length=100), AfterValidator(_present)] = None
    notification_email: Annotated[str | None, Field(max_length=254, pattern=EMAIL), AfterValidator(_present)] = None
    merchant_id: UUID | None = None


class IssueRewardResource(BaseModel):
    type: Literal["IssueReward"]
    attributes: IssueRewardAttributes


class IssueRewardDocument(BaseModel):
    data: IssueRewardResource


class RewardAttributes(Camel):
    kind: str
    amount: int
    wallet_id: UUID | None
    status: str
    can_update: bool
    can_cancel: bool
    claim_expires_at: Instant | None
    message: str | None
    reason_code: str | None
    cost_center: str | None
    notification_email: str | None
    currency: str
    merchant_id: UUID
    reversed_amount: int
    created_at: Instant
    updated_at: Instant


class RewardResource(BaseModel):
    id: UUID
    type: Literal["Reward"] = "Reward"
    attributes: RewardAttributes


class Document(BaseModel, Generic[A]):
    data: A


RewardDocument = Document[RewardResource]

PERSONAL = {"attributes": {"message", "notification_email"}}
"""What an event does not tell."""
