"""Merchants: where value is spent, with the settings that bound rewards there and the accounts that fund them.

Which merchant a request is for is decided here too. Owns `merchants`, `spending_terms`,
`activity_terms` and `locations`.
"""

from tallystick.merchants.actions import activity_terms, add, by_ids, configure, funding, listed, terms, top_up
from tallystick.merchants.directory import MerchantDirectory
from tallystick.merchants.location_store import Location
from tallystick.merchants.locations import by_ids as locations_by_ids
from tallystick.merchants.locations import ids_by_external as location_ids_by_external
from tallystick.merchants.model import (
    ActivityTerms,
    Changes,
    Funding,
    FundingMode,
    InsufficientFunding,
    Merchant,
    MerchantRef,
    NewMerchant,
    SpendingTerms,
    Status,
    TenantMerchants,
    choose,
)

__all__ = [
    "ActivityTerms",
    "Changes",
    "Funding",
    "FundingMode",
    "InsufficientFunding",
    "Location",
    "Merchant",
    "MerchantDirectory",
    "MerchantRef",
    "NewMerchant",
    "SpendingTerms",
    "Status",
    "TenantMerchants",
    "activity_terms",
    "add",
    "by_ids",
    "choose",
    "configure",
    "funding",
    "listed",
    "location_ids_by_external",
    "locations_by_ids",
    "terms",
    "top_up",
]
