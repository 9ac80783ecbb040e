"""Where a reward or a gift card came from, over HTTP."""

from tallystick.activity import provenance, provenance_resource
from tallystick.base.errors import NotFound
from tallystick.base.routes import Call, Reply, Route
from tallystick.customers.api import path_id
from tallystick.giftcards import delivery
from tallystick.rewards.changing import missing


async def get_provenance(call: Call) -> Reply:
    """Where a reward came from: the request that gave it, or the step of a rule with the activities behind it; and its journals."""
    reward_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await provenance.of_reward(work, call.asked, reward_id)
    if found is None:
        raise missing()
    return Reply(200, provenance_resource.document(provenance_resource.PROVENANCE, found), resource_id=reward_id)


async def get_card_provenance(call: Call) -> Reply:
    """Where a gift card came from: the request that issued it, or the step of a rule with what is behind that; and its journals."""
    card_id = path_id(call, delivery.missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await provenance.of_card(work, call.asked, card_id)
    if found is None:
        raise delivery.missing()
    return Reply(200, provenance_resource.document(provenance_resource.CARD_PROVENANCE, found), resource_id=card_id)


def routes() -> tuple[Route, ...]:
    """What this room tells of rewards and cards."""
    told, of_card = provenance_resource.PROVENANCE, provenance_resource.CARD_PROVENANCE
    return (
        Route(
            "GET", told.path, get_provenance, "rewards:read", "Get the provenance of a reward",
            gives=told, errors=(NotFound,),
        ),
        Route(
            "GET", of_card.path, get_card_provenance, "gift-cards:read", "Get the provenance of a gift card",
            gives=of_card, errors=(NotFound,),
        ),
    )  # fmt: skip
