"""Partners: who may call, for which programme, with which credentials, scopes and rate.

A partner comes to a programme by agreement; a client is its credential in one environment. Owns `programmes`, `tenants`,
`partners`, `agreements`, `clients`, `client_secrets`, `access_tokens` and `rate_limits`.
"""

from tallystick.partners.actions import (
    add_client,
    add_partner,
    add_programme,
    agree,
    end_agreement,
    find_client,
    list_agreements,
    list_clients,
    list_partners,
    list_programmes,
    resume_partner,
    revoke_client,
    revoke_secret,
    rotate_secret,
    suspend_partner,
)
from tallystick.partners.authentication import Authenticator, forget_expired_tokens
from tallystick.partners.limits import Limiter, Taken
from tallystick.partners.model import Agreement, Client, NewClient, Partner, Programme, Secret, Visibility
from tallystick.partners.oauth import oauth_pages
from tallystick.partners.scopes import SCOPES

__all__ = [
    "SCOPES",
    "Agreement",
    "Authenticator",
    "Client",
    "Limiter",
    "NewClient",
    "Partner",
    "Programme",
    "Secret",
    "Taken",
    "Visibility",
    "add_client",
    "add_partner",
    "add_programme",
    "agree",
    "end_agreement",
    "find_client",
    "forget_expired_tokens",
    "list_agreements",
    "list_clients",
    "list_partners",
    "list_programmes",
    "oauth_pages",
    "resume_partner",
    "revoke_client",
    "revoke_secret",
    "rotate_secret",
    "suspend_partner",
]
