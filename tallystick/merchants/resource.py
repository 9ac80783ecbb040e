"""Merchants on the wire: the merchant with its settings, and the settings alone."""

from dataclasses import asdict
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallystick.base import jsonapi
from tallystick.base.routes import Resource
from tallystick.merchants.model import (
    CAP_MAX,
    CLAIM_DAYS_MAX,
    COUNT_MAX,
    VALUE_DAYS_MAX,
    ActivityTerms,
    Attribution,
    Changes,
    Merchant,
    SpendingTerms,
)

SETTINGS_EXAMPLE: Final = {
    "claimDays": 90,
    "preIssuing": True,
    "stacking": False,
    "rewardMaximum": 10000,
    "phoneDayMaximum": None,
    "valueDays": 365,
}

TERMS_EXAMPLE: Final = {
    "paymentMinimum": 100,
    "paymentMaximum": 50000,
    "walletDayMaximum": None,
    "walletDayCount": 20,
    "cardDayMaximum": None,
    "cardDayCount": 10,
    "merchantDayMaximum": None,
    "cardMaximum": 200000,
    "adjustMaximum": 5000,
    "authorizationDays": 7,
    "refundGraceDays": 30,
    "expiryNoticeDays": 14,
    "memberCodePays": False,
    "activityAttribution": "immediate",
    "activityReleaseDays": None,
    "activityUnknownDays": 30,
    "returnCountSignal": 5,
    "returnWindowDays": 30,
}

MERCHANT_EXAMPLE: Final = {
    "name": "Café Luna",
    "currency": "EUR",
    "country": "DE",
    "timeZone": "Europe/Berlin",
    "status": "active",
    "fundingMode": "invoiced",
    "region": None,
    **SETTINGS_EXAMPLE,
}


class ConfigurationAttributes(msgspec.Struct, rename="camel", gc=False):
    """The settings of a merchant that partners see and may change. Maxima are minor units; null: none."""

    claim_days: int
    pre_issuing: bool
    stacking: bool
    reward_maximum: int | None
    phone_day_maximum: int | None
    value_days: int | None
    payment_minimum: int | None
    payment_maximum: int | None
    wallet_day_maximum: int | None
    wallet_day_count: int | None
    card_day_maximum: int | None
    card_day_count: int | None
    merchant_day_maximum: int | None
    card_maximum: int | None
    adjust_maximum: int | None
    authorization_days: int
    refund_grace_days: int
    expiry_notice_days: int
    member_code_pays: bool
    activity_attribution: Attribution
    activity_release_days: int | None
    activity_unknown_days: int
    return_count_signal: int | None
    return_window_days: int


class MerchantAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a merchant."""

    name: str
    currency: str
    country: str
    time_zone: str
    status: str
    funding_mode: str
    region: str | None
    claim_days: int
    pre_issuing: bool
    stacking: bool
    reward_maximum: int | None
    phone_day_maximum: int | None
    value_days: int | None


Days = Annotated[int, Meta(ge=1, le=CLAIM_DAYS_MAX, description="Days for which a reward waits to be claimed.")]
Cap = Annotated[int, Meta(ge=1, le=CAP_MAX, description="Minor units of the merchant's currency.")]


Limit = Annotated[int, Meta(ge=0, le=CAP_MAX, description="Minor units of the merchant's currency.")]
Count = Annotated[int, Meta(ge=1, le=COUNT_MAX, description="Payments in one day of the merchant's time zone.")]
Wait = Annotated[int, Meta(ge=0, le=365, description="Days.")]
Returns = Annotated[int, Meta(ge=1, le=COUNT_MAX, description="Returns of one customer.")]
Length = Annotated[int, Meta(ge=1, le=VALUE_DAYS_MAX, description="Days.")]


class UpdateConfiguration(msgspec.Struct, rename="camel", gc=False, forbid_unknown_fields=True):
    """The settings to change; what is left out stays, null takes a maximum away."""

    claim_days: Days | UnsetType = UNSET
    pre_issuing: bool | UnsetType = UNSET
    stacking: bool | UnsetType = UNSET
    reward_maximum: Cap | UnsetType | None = UNSET
    phone_day_maximum: Cap | UnsetType | None = UNSET
    value_days: Length | UnsetType | None = UNSET
    payment_minimum: Cap | UnsetType | None = UNSET
    payment_maximum: Cap | UnsetType | None = UNSET
    wallet_day_maximum: Cap | UnsetType | None = UNSET
    wallet_day_count: Count | UnsetType | None = UNSET
    card_day_maximum: Cap | UnsetType | None = UNSET
    card_day_count: Count | UnsetType | None = UNSET
    merchant_day_maximum: Cap | UnsetType | None = UNSET
    card_maximum: Cap | UnsetType | None = UNSET
    adjust_maximum: Limit | UnsetType | None = UNSET
    authorization_days: Length | UnsetType = UNSET
    refund_grace_days: Length | UnsetType = UNSET
    expiry_notice_days: Length | UnsetType = UNSET
    member_code_pays: bool | UnsetType = UNSET
    activity_attribution: Attribution | UnsetType = UNSET
    activity_release_days: Wait | UnsetType | None = UNSET
    activity_unknown_days: Wait | UnsetType = UNSET
    return_count_signal: Returns | UnsetType | None = UNSET
    return_window_days: Annotated[int, Meta(ge=1, le=365, description="Days.")] | UnsetType = UNSET

    def changes(self) -> Changes:
        """The same in this room's words."""
        return Changes(**{name: getattr(self, name) for name in self.__struct_fields__})


MERCHANT: Final = Resource("Merchant", "/api/v1/merchants", MerchantAttributes, MERCHANT_EXAMPLE)

CONFIGURATION: Final = Resource(
    "MerchantConfiguration",
    "/api/v1/merchants/{id}/configuration",
    ConfigurationAttributes,
    {**SETTINGS_EXAMPLE, **TERMS_EXAMPLE},
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
            region=merchant.region,
            claim_days=merchant.claim_days,
            pre_issuing=merchant.pre_issuing,
            stacking=merchant.stacking,
            reward_maximum=merchant.reward_maximum,
            phone_day_maximum=merchant.phone_day_maximum,
            value_days=merchant.value_days,
        ),
    )


def configuration(merchant: Merchant, terms: SpendingTerms, takes: ActivityTerms) -> bytes:
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
            value_days=merchant.value_days,
            **asdict(terms),
            **asdict(takes),
        ),
    )
