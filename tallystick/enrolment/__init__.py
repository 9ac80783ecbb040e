"""Enrolment: a person joins, gets a wallet, and claims what waits for them. It owns no table; it brings rooms below together."""

from tallystick.enrolment.actions import change_user, open_wallet, resume_wallet, verify_phone
from tallystick.enrolment.model import OpenWallet, ResumeWallet

__all__ = ["OpenWallet", "ResumeWallet", "change_user", "open_wallet", "resume_wallet", "verify_phone"]
