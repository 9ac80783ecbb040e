"""Partners: who may call, for which programme, with which credentials, scopes and rate.

A partner comes to a programme by agreement; a client is its credential in one environment. Operators run the house. Owns
`programmes`, `tenants`, `partners`, `agreements`, `clients`, `client_secrets`, `access_tokens`, `rate_limits` and `operators`.
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
    set_data_policy,
    suspend_partner,
)
from tallystick.partners.authentication import Authenticator, forget_expired_tokens
from tallystick.partners.limits import Limiter, Taken
from tallystick.partners.model import Agreement, Client, NewClient, Partner, Programme, Secret, Visibility
from tallystick.partners.noticing import review, tell_of_reviews, tell_of_secrets
from tallystick.partners.oauth import oauth_pages
from tallystick.partners.operator_store import AgreementBooks, Operator
from tallystick.partners.operators import (
    OperatorDoor,
    add_operator,
    agreements_of,
    find_agreement,
    list_operators,
    revoke_operator,
)
from tallystick.partners.scopes import SCOPES
from tallystick.partners.standing import caller_of, sight

__all__ = [
    "SCOPES",
    "Agreement",
    "AgreementBooks",
    "Authenticator",
    "Client",
    "Limiter",
    "NewClient",
    "Operator",
    "OperatorDoor",
    "Partner",
    "Programme",
    "Secret",
    "Taken",
    "Visibility",
    "add_client",
    "add_operator",
    "add_partner",
    "add_programme",
    "agree",
    "agreements_of",
    "caller_of",
    "end_agreement",
    "find_agreement",
    "find_client",
    "forget_expired_tokens",
    "list_agreements",
    "list_clients",
    "list_operators",
    "list_partners",
    "list_programmes",
    "oauth_pages",
    "resume_partner",
    "review",
    "revoke_client",
    "revoke_operator",
    "revoke_secret",
    "rotate_secret",
    "set_data_policy",
    "sight",
    "suspend_partner",
    "tell_of_reviews",
    "tell_of_secrets",
]
