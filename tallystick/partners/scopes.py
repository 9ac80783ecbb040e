"""The catalogue of scopes, a sentence each. Every route names exactly one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rewards:read": "Read rewards and reward batches.",
        "rewards:write": "Issue, change, cancel and reverse rewards, one at a time or in batches.",
        "users:read": "Read the people who hold wallets.",
        "users:write": "Add people, change what is known of them, and verify their phones.",
        "users:export": "Hand out everything that is kept about a person.",
        "users:erase": "Erase people, for good.",
        "wallets:read": "Read wallets, their balances and their transactions.",
        "wallets:write": "Open, suspend, resume and close wallets.",
        "payment-intents:read": "Read payments made with stored value.",
        "payment-intents:write": "Authorise, capture, cancel, refund and reverse payments made with stored value.",
        "gift-cards:read": "Read gift cards, their batches, designs and activities, never their codes.",
        "gift-cards:write": "Issue gift cards and change what becomes of them.",
        "gift-cards:lookup": "Look up a gift card by its code and PIN.",
        "gift-cards:reveal": "See the codes of gift cards, one at a time or a whole batch.",
        "gift-cards:approve": "Approve or reject adjustments that somebody else asked for.",
        "activity:read": "Read transactions, visits and orders, and the imports that brought them.",
        "activity:write": "Send transactions, visits and orders, one at a time, in batches, or as files.",
        "thresholds:read": "Read threshold rules, how far customers are, and why.",
        "thresholds:write": "Write, publish, pause and complete threshold rules, and rehearse them.",
        "integrations:read": "Read the systems that send their own documents.",
        "integrations:write": "Connect, change and disconnect systems that send their own documents.",
        "webhooks:read": "Read your webhooks and what became of their events.",
        "webhooks:write": "Make, prove, change and replay webhooks.",
        "locations:read": "Read the places where merchants trade.",
        "locations:write": "Add places and change them.",
        "usage:read": "Read what is used of your quotas.",
        "reports:read": "Read and download reports.",
        "reports:write": "Order reports, and close periods of the books.",
        "merchants:read": "Read merchants and their settings.",
        "merchants:write": "Change the settings of merchants.",
        "webhook-events:read": "Read the feed of everything that happened.",
        "request-logs:read": "Read the log of your own requests.",
        "credentials:read": "Read your own credentials, never their secrets.",
        "credentials:write": "Rotate and revoke your own credentials.",
        "sandbox:write": "Read a sandbox's clock and mailbox, and move it through time.",
    }
)


def unknown(scopes: frozenset[str]) -> list[str]:
    """The names among `scopes` that are no scope."""
    return sorted(scopes - SCOPES.keys())
