"""What came of accepting, as a rehearsal tells it."""

from tallystick.activity.accepting import Accepted
from tallystick.activity.outcome_store import Outcome
from tallystick.activity.resource import Effects, ProgressEffect, RewardEffect


def of(accepted: Accepted | None) -> Effects:
    """The progress that moved, and the rewards given or taken back for it."""
    if accepted is None:
        return Effects([], [])
    progress = [
        ProgressEffect(str(each.threshold_id), str(each.customer_id), each.before, each.current)
        for each in accepted.moved
    ]
    return Effects(progress, [_reward(each) for each in (*accepted.settled.given, *accepted.settled.returned)])


def _reward(outcome: Outcome) -> RewardEffect:
    return RewardEffect(
        threshold_id=str(outcome.threshold_id),
        user_id=str(outcome.customer_id),
        cycle=outcome.cycle,
        step=outcome.step,
        status=outcome.status,
        amount=outcome.amount,
        desired_amount=outcome.desired_amount,
        returned_amount=outcome.returned_amount,
    )
