"""Merchants: where value is spent, with the settings that bound rewards there and the accounts that fund them.

Which merchant a request is for is decided here too. Owns `merchants` and `spending_terms`.
"""

from tallystick.merchants.actions import add, by_ids, configure, funding, listed, terms, top_up
from tallystick.merchants.directory import MerchantDirectory
from tallystick.merchants.model import (
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
    "Changes",
    "Funding",
    "FundingMode",
    "InsufficientFunding",
    "Merchant",
    "MerchantDirectory",
    "MerchantRef",
    "NewMerchant",
    "SpendingTerms",
    "Status",
    "TenantMerchants",
    "add",
    "by_ids",
    "choose",
    "configure",
    "funding",
    "listed",
    "terms",
    "top_up",
]
