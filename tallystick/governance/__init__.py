"""Governance: on what terms a partner may act; its quotas, counted exactly, and what goes beyond them.

Terms are agreed in versions that replace each other. Owns `agreement_heads`, `agreement_terms`, `quota_lines` and `quota_usage`.
"""

from tallystick.governance import quotas
from tallystick.governance.warning import warn_due

__all__ = ["quotas", "warn_due"]
