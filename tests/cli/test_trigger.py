"""`trigger`: a sample event of any topic happens in the sandbox, and is told as every other."""

import json
from pathlib import Path

import pytest

from tallystick import events
from tests.cli.conftest import Demo
from tests.cli.running import tallystick, told, until
from tests.cli.test_sink import arrived, sink_of


@pytest.mark.parametrize("topic", ["reward.credited", "threshold.reached", "gift_card.redeemed"])
def test_a_sample_happens_and_arrives_at_webhooks(demo: Demo, topic: str) -> None:
    made = told("trigger", topic, "--data", demo.up.place)
    assert made["topic"] == topic
    feed = demo.sandbox.get(f"webhook-events?filter[subjectId]={made['subjectId']}").body["data"]
    assert [each["attributes"]["topic"] for each in feed] == [topic]
    until(lambda: arrived(sink_of(demo.up), made["subjectId"]), what="the sink shows the sample")
    shown = arrived(sink_of(demo.up), made["subjectId"])[0]
    assert (shown["topic"], shown["verified"]) == (topic, True)
    assert json.loads(shown["body"])["data"]["meta"] == {"sample": True}


def test_by_words_it_tells_what_happened(demo: Demo) -> None:
    done = tallystick("trigger", "reward.expired", "--credentials", demo.file)
    assert done.exit_code == 0
    assert done.output.startswith("reward.expired happened to Reward ")


def test_the_list_is_the_catalogue() -> None:
    listed = {each["topic"]: each["tells"] for each in told("trigger", "--list")}
    assert listed == {each.name: each.summary for each in events.TOPICS}
    assert "reward.credited" in tallystick("trigger", "--list").output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Name a topic, such as reward.credited."),
        (("reward.creditd",), "There is no topic reward.creditd; did you mean reward.credited?"),
        (("zzz",), "There is no topic zzz. `tallystick trigger --list` shows them."),
        (("reward.credited",), "There are no credentials in"),
    ],
)
def test_what_cannot_happen_is_refused_in_a_sentence(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = tallystick("trigger", *words, "--data", tmp_path)
    assert done.exit_code == 1
    assert sentence in done.output


def test_a_house_that_is_not_there_is_told_of(demo: Demo) -> None:
    done = tallystick("trigger", "reward.credited", "--credentials", demo.file, "--url", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert "Nothing answers at http://127.0.0.1:9 (" in done.output
