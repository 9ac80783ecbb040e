"""The bugs that can be planted still fit: planting them and seeing them caught is `python -m tests.planted`."""

import re
from pathlib import Path

import pytest

from tests.planted import cards, earning, exactness, holders, promises, spending, telling
from tests.planted.bug import Bug

ROOT = Path(__file__).parents[2]
BUGS: tuple[Bug, ...] = (
    *cards.BUGS,
    *earning.BUGS,
    *exactness.BUGS,
    *holders.BUGS,
    *promises.BUGS,
    *spending.BUGS,
    *telling.BUGS,
)


def test_there_are_many_and_no_two_have_one_name() -> None:
    assert len(BUGS) >= 30
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_has_tests_that_should_notice(bug: Bug) -> None:
    text = (ROOT / bug.file).read_text(encoding="utf-8")
    assert text.count(bug.old) == 1, "the code has changed: say anew where this bug goes"
    planted = text.replace(bug.old, bug.new)
    assert planted != text
    if bug.file.endswith(".py"):
        compile(planted, bug.file, "exec")
    for test in bug.tests:
        file, _, function = test.partition("::")
        assert (ROOT / file).is_file(), test
        if function:
            assert re.search(rf"^(async )?def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (
                test
            )
