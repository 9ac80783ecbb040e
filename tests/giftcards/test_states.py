"""Every verb in every state: the ones that are allowed work, the others say which state is in the way."""

import asyncio
from dataclasses import replace
from typing import Any, Final, get_args
from uuid import UUID

import pytest

import tallystick.giftcards.store as store
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.giftcards import states
from tallystick.giftcards.model import STATUSES, ActivityKind
from tests.api import Api
from tests.giftcards.living import STATES, check_cards, do, in_state, status_of, told
from tests.rewards.cast import configure, refused

NEEDS: Final[dict[str, dict[str, Any]]] = {
    "activate": {},
    "load": {"amount": 100},
    "adjust": {"amount": 100, "reason": "complimentary"},
    "freeze": {"reason": "stolen"},
    "unfreeze": {"reason": "found"},
    "replace": {"reason": "lost"},
    "cancel": {"reason": "customer_request", "refund": True},
    "charge-back": {},
    "cash-out": {},
}
BECOMES: Final[dict[tuple[str, str], str]] = {
    ("activate", "pending"): "active",
    ("load", "active"): "active",
    ("load", "depleted"): "active",
    ("adjust", "active"): "active",
    ("adjust", "depleted"): "active",
    ("freeze", "pending"): "frozen",
    ("freeze", "active"): "frozen",
    ("freeze", "depleted"): "frozen",
    ("unfreeze", "frozen"): "active",
    ("replace", "pending"): "replaced",
    ("replace", "active"): "replaced",
    ("replace", "frozen"): "replaced",
    ("replace", "depleted"): "replaced",
    ("cancel", "pending"): "cancelled",
    ("cancel", "active"): "cancelled",
    ("cancel", "frozen"): "cancelled",
    ("cancel", "depleted"): "cancelled",
    ("charge-back", "pending"): "frozen",
    ("charge-back", "active"): "frozen",
    ("charge-back", "frozen"): "frozen",
    ("charge-back", "depleted"): "frozen",
    ("cash-out", "active"): "depleted",
}
"""What is allowed, and where it leads."""
TABLE: Final = """
                 pending          active          frozen                   depleted          expired         cancelled  replaced
activate         active           -               -                        -                 -               -          -
load             -                active          -                        active            -               -          -
adjust           -                active          -                        active            -               -          -
transfer         -                active          -                        -                 -               -          -
cash_out         -                active          -                        -                 -               -          -
freeze           frozen           frozen          -                        frozen            -               -          -
unfreeze         -                -               pending,active,depleted  -                 -               -          -
replace          replaced         replaced        replaced                 replaced          -               -          -
refund_purchase  pending          active          frozen                   -                 -               -          -
cancel           cancelled        cancelled       cancelled                cancelled         -               -          -
charge_back      frozen           frozen          frozen                   frozen            -               -          -
take_back        -                -               frozen                   -                 -               cancelled  -
deliver          -                active          -                        depleted          -               -          -
redeem           -                active          frozen                   depleted          -               -          -
deplete          -                depleted        -                        -                 -               -          -
refund           -                active          frozen                   active,depleted   active,expired  -          -
expire           pending,expired  active,expired  frozen,expired           depleted,expired  expired         cancelled  replaced
"""
"""The same for whatever happens to a card: the states it may be left in, by what happens and the state it is met in."""


def may_be_left() -> dict[tuple[str, str], set[str]]:
    head, *lines = TABLE.strip().splitlines()
    return {
        (line.split()[0], before): set(cell.split(",")) - {"-"}
        for line in lines
        for before, cell in zip(head.split(), line.split()[1:], strict=True)
    }


@pytest.mark.parametrize("verb", states.STEPS)
def test_whatever_is_not_in_the_table_does_not_happen(verb: states.Verb) -> None:
    expected = may_be_left()
    for before in STATUSES:
        assert states.meets(verb, before) is bool(expected[verb, before]), before
        for after in STATUSES:
            if after in expected[verb, before]:
                assert states.left_in(verb, before, after) == after
            else:
                with pytest.raises(AssertionError, match=verb):
                    states.left_in(verb, before, after)


def test_the_table_speaks_of_everything_that_happens_to_a_card() -> None:
    assert {verb for verb, _ in may_be_left()} == set(states.STEPS)
    assert set(get_args(ActivityKind)) - set(states.STEPS) == {"issue"}
    assert {before for _, before in may_be_left()} == set(STATUSES)


@pytest.mark.parametrize("state", STATES)
async def test_every_verb_keeps_to_the_states_it_is_for(api: Api, runtime: Runtime, auditor: Db, state: str) -> None:
    await configure(runtime, api, region="US-CA")
    allowed = [verb for verb in NEEDS if (verb, state) in BECOMES]
    # What is refused leaves the card as it was, so that one card sees all the refusals.
    card_id = await in_state(api, state)
    before = await told(api, card_id)
    for verb, attributes in NEEDS.items():
        if verb not in allowed:
            answer = await do(api, card_id, verb, **attributes)
            refused(answer, 409, "InvalidState")
            assert state in answer.body["errors"][0]["detail"], (verb, answer.text)
    assert (await told(api, card_id), await status_of(api, card_id)) == (before, state)
    for number, verb in enumerate(allowed):
        one = card_id if number == 0 else await in_state(api, state)
        answer = await do(api, one, verb, **NEEDS[verb])
        assert answer.status in (200, 201, 202), (verb, answer.text)
        assert await status_of(api, one) == BECOMES[verb, state], verb
    await check_cards(auditor, api.tenant)


@pytest.mark.parametrize("verb", NEEDS)
async def test_a_verb_that_waits_for_the_card_sees_what_became_of_it(api: Api, runtime: Runtime, verb: str) -> None:
    await configure(runtime, api, region="US-CA")
    card_id = await in_state(api, next(state for state in STATES if (verb, state) in BECOMES))
    async with runtime.work(api.tenant) as work:
        held = (await store.lock(work, [UUID(card_id)]))[UUID(card_id)]
        waiting = asyncio.create_task(do(api, card_id, verb, **NEEDS[verb]))
        await asyncio.sleep(0.15)
        assert not waiting.done()
        await store.update(work, [replace(held, status="cancelled")])
    answer = await waiting
    refused(answer, 409, "InvalidState")
    assert "cancelled" in answer.body["errors"][0]["detail"]
    assert await status_of(api, card_id) == "cancelled"
