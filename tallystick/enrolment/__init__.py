"""Enrolment: a person joins, gets a wallet, and claims what waits for them; two that are one are merged.

It owns no table; it brings rooms below together.
"""

from tallystick.enrolment.actions import change_user, open_wallet, resume_wallet, verify_phone
from tallystick.enrolment.merging import MergeUsers, UnmergeUser, merge_users, unmerge_user
from tallystick.enrolment.model import OpenWallet, ResumeWallet

__all__ = [
    "MergeUsers",
    "OpenWallet",
    "ResumeWallet",
    "UnmergeUser",
    "change_user",
    "merge_users",
    "open_wallet",
    "resume_wallet",
    "unmerge_user",
    "verify_phone",
]
