"""A short slice of the torture: every kind of kill, under load, in a house of its own."""

import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.torture import Torment, torment
from tallystick.torture.injuries import INJURIES

SERVING_AGAIN_SECONDS = 10.0


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes it kills in /proc")
async def test_no_acknowledged_reward_or_activity_is_lost_or_doubled_whatever_is_killed(
    record_property: Callable[[str, object], None],
) -> None:
    with tempfile.TemporaryDirectory(prefix="tallystick-torture-") as place:
        report = await torment(
            Torment(seconds=0, at_least=len(INJURIES), seed=4, place=Path(place), writers=5, tellers=2, strangers=False)
        )
    for kind, times in report.recoveries.items():
        record_property(kind, [round(each, 2) for each in times])
        print(f"{kind}: serving again after {', '.join(f'{each:.2f} s' for each in times)}")  # noqa: T201 -- for -s
    assert report.differences == ()
    assert report.rewards > 100
    assert set(report.told.facts) == {"Purchase", "Refund", "Void"}
    assert report.told.repeated > 50
    assert min(report.told.rewards.values()) > 10
    assert report.injuries == dict.fromkeys(INJURIES, 1)
    by_itself = {kind: times for kind, times in report.recoveries.items() if kind != "kill up itself"}
    assert max(itertools.chain.from_iterable(by_itself.values())) < SERVING_AGAIN_SECONDS
