"""Rewards: value a partner gives a customer by phone number, once for its key: credited at once, or waiting to be claimed.

Owns `rewards`, `reward_batches` and `reward_batch_items`.
"""

from tallystick.rewards import notices
from tallystick.rewards.batches import run_batches
from tallystick.rewards.changing import CancelReward, ReverseReward, UpdateReward, cancel, reverse, update
from tallystick.rewards.claiming import Claim, claim, expire_at, expire_due, next_deadline
from tallystick.rewards.issuing import Issued, issue
from tallystick.rewards.model import IssueReward, Reward
from tallystick.rewards.withdrawing import Withdraw, Withdrawn, withdraw

__all__ = [
    "CancelReward",
    "Claim",
    "IssueReward",
    "Issued",
    "ReverseReward",
    "Reward",
    "UpdateReward",
    "Withdraw",
    "Withdrawn",
    "cancel",
    "claim",
    "expire_at",
    "expire_due",
    "issue",
    "next_deadline",
    "notices",
    "reverse",
    "run_batches",
    "update",
    "withdraw",
]
