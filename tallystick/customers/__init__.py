"""Customers: the people whose value it is, and the phones they are known by. Owns `recipients`, `customers`,
`customer_merges`, `phone_codes`, `data_permissions` and `card_tokens`.

Everything personal is sealed under the person's own key; a phone is found by its keyed blind index only.
"""

from tallystick.customers.actions import UserSeal, create, hold, missing, own, visible, write
from tallystick.customers.codes import right, send_code, wrong
from tallystick.customers.lookup import KnownBy, identity_index, known_by, permitted, phones_of, survivors, token_index
from tallystick.customers.merging import merge, of_member_codes, open_merges, part
from tallystick.customers.model import (
    COOLING_OFF,
    EMAIL_MAX,
    EXTERNAL_ID_MAX,
    NAME_MAX,
    ChangeUser,
    CreateUser,
    Customer,
    ExternalIdTaken,
    Merge,
    Personal,
    SendCode,
    VerifyPhone,
    canonical,
    changed,
    not_active,
)
from tallystick.customers.store import (
    by_ids,
    ids_of_recipient,
    listed_by_external_id,
    listed_by_member_code,
    listed_by_recipient,
)

__all__ = [
    "COOLING_OFF",
    "EMAIL_MAX",
    "EXTERNAL_ID_MAX",
    "NAME_MAX",
    "ChangeUser",
    "CreateUser",
    "Customer",
    "ExternalIdTaken",
    "KnownBy",
    "Merge",
    "Personal",
    "SendCode",
    "UserSeal",
    "VerifyPhone",
    "by_ids",
    "canonical",
    "changed",
    "create",
    "hold",
    "identity_index",
    "ids_of_recipient",
    "known_by",
    "listed_by_external_id",
    "listed_by_member_code",
    "listed_by_recipient",
    "merge",
    "missing",
    "not_active",
    "of_member_codes",
    "open_merges",
    "own",
    "part",
    "permitted",
    "phones_of",
    "right",
    "send_code",
    "survivors",
    "token_index",
    "visible",
    "write",
    "wrong",
]
