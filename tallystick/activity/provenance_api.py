"""Where a reward came from, over HTTP."""

from tallystick.activity import provenance, provenance_resource
from tallystick.base.errors import NotFound
from tallystick.base.routes import Call, Reply, Route
from tallystick.customers.api import path_id
from tallystick.rewards.changing import missing


async def get_provenance(call: Call) -> Reply:
    """Where a reward came from: the request that gave it, or the step of a rule with the activities behind it; and its journals."""
    reward_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await provenance.of_reward(work, call.asked, reward_id)
    if found is None:
        raise missing()
    return Reply(200, provenance_resource.document(found), resource_id=reward_id)


def routes() -> tuple[Route, ...]:
    """What this room tells of rewards."""
    told = provenance_resource.PROVENANCE
    return (
        Route(
            "GET", told.path, get_provenance, "rewards:read", "Get the provenance of a reward",
            gives=told, errors=(NotFound,),
        ),
    )  # fmt: skip
