"""Merchants on the wire: the merchant with its settings, and the settings alone."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallystick.base import jsonapi
from tallystick.base.routes import Resource
from tallystick.merchants.model import CAP_MAX, CLAIM_DAYS_MAX, Changes, Merchant

SETTINGS_EXAMPLE: Final = {
    "claimDays": 90,
    "preIssuing": True,
    "stacking": False,
    "rewardMaximum": 10000,
    "phoneDayMaximum": None,
}

MERCHANT_EXAMPLE: Final = {
    "name": "Café Luna",
    "currency": "EUR",
    "country": "DE",
    "timeZone": "Europe/Berlin",
    "status": "active",
    "fundingMode": "invoiced",
    **SETTINGS_EXAMPLE,
}


class ConfigurationAttributes(msgspec.Struct, rename="camel", gc=False):
    """The settings of a merchant that partners see and may change. Maxima are minor units; null: none."""

    claim_days: int
    pre_issuing: bool
    stacking: bool
    reward_maximum: int | None
    phone_day_maximum: int | None


class MerchantAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a merchant."""

    name: str
    currency: str
    country: str
    time_zone: str
    status: str
    funding_mode: str
    claim_days: int
    pre_issuing: bool
    stacking: bool
    reward_maximum: int | None
    phone_day_maximum: int | None


Days = Annotated[int, Meta(ge=1, le=CLAIM_DAYS_MAX, description="Days for which a reward waits to be claimed.")]
Cap = Annotated[int, Meta(ge=1, le=CAP_MAX, description="Minor units of the merchant's currency.")]


class UpdateConfiguration(msgspec.Struct, rename="camel", gc=False, forbid_unknown_fields=True):
    """The settings to change; what is left out stays, null takes a maximum away."""

    claim_days: Days | UnsetType = UNSET
    pre_issuing: bool | UnsetType = UNSET
    stacking: bool | UnsetType = UNSET
    reward_maximum: Cap | UnsetType | None = UNSET
    phone_day_maximum: Cap | UnsetType | None = UNSET

    def changes(self) -> Changes:
        """The same in this room's words."""
        return Changes(
            claim_days=self.claim_days,
            pre_issuing=self.pre_issuing,
            stacking=self.stacking,
            reward_maximum=self.reward_maximum,
            phone_day_maximum=self.phone_day_maximum,
        )


MERCHANT: Final = Resource("Merchant", "/api/v1/merchants", MerchantAttributes, MERCHANT_EXAMPLE)

CONFIGURATION: Final = Resource(
    "MerchantConfiguration", "/api/v1/merchants/{id}/configuration", ConfigurationAttributes, SETTINGS_EXAMPLE
)


def merchant(merchant: Merchant) -> bytes:
    """The merchant as a resource object. Nothing in it is personal, so that events hold the same."""
    return jsonapi.resource(
        MERCHANT,
        merchant.id,
        MerchantAttributes(
            name=merchant.name,
            currency=merchant.currency,
            country=merchant.country,
            time_zone=merchant.time_zone,
            status=merchant.status,
            funding_mode=merchant.funding_mode,
            claim_days=merchant.claim_days,
            pre_issuing=merchant.pre_issuing,
            stacking=merchant.stacking,
            reward_maximum=merchant.reward_maximum,
            phone_day_maximum=merchant.phone_day_maximum,
        ),
    )


def configuration(merchant: Merchant) -> bytes:
    """The settings as a resource object; its id is the merchant's."""
    return jsonapi.resource(
        CONFIGURATION,
        merchant.id,
        ConfigurationAttributes(
            claim_days=merchant.claim_days,
            pre_issuing=merchant.pre_issuing,
            stacking=merchant.stacking,
            reward_maximum=merchant.reward_maximum,
            phone_day_maximum=merchant.phone_day_maximum,
        ),
    )
