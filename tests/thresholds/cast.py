"""Short ways to write rules over HTTP, and to look at them."""

from datetime import datetime
from typing import Any

from tallystick.base import clock
from tests.api import Answer, Api, document_of

STEPS = [{"target": 5000, "reward": {"type": "walletCredit", "amount": 500}}]


def step(target: int, amount: int = 500, **reward: Any) -> dict[str, Any]:
    """A step that gives a wallet credit unless told otherwise."""
    return {"target": target, "reward": {"type": "walletCredit", "amount": amount} | reward}


async def write(api: Api, *, key: str | None = None, **attributes: Any) -> Answer:
    """Write a draft: 5000 spent gives 500, unless told otherwise."""
    wanted = {"name": "Breakfast club", "metric": "spend", "steps": STEPS} | attributes
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post("thresholds", document_of("Threshold", **wanted), headers=headers)


async def draft(api: Api, **attributes: Any) -> str:
    """A new draft's id."""
    answer = await write(api, **attributes)
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def rule(api: Api, **attributes: Any) -> str:
    """The id of a new rule that is in force from now on."""
    threshold_id = await draft(api, **attributes)
    await done(api, threshold_id, "publish")
    return threshold_id


async def change(api: Api, threshold_id: str, *, key: str | None = None, **attributes: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.patch(f"thresholds/{threshold_id}", document_of("Threshold", **attributes), headers=headers)


async def publish(api: Api, threshold_id: str, at: datetime | None = None, *, key: str | None = None) -> Answer:
    """Publish the latest version, now or at an instant to come."""
    document = None if at is None else document_of("PublishThreshold", at=clock.render(at))
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"thresholds/{threshold_id}/publish", document, headers=headers)


async def turn(api: Api, threshold_id: str, verb: str, *, key: str | None = None) -> Answer:
    """Publish, pause, resume or complete a rule."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"thresholds/{threshold_id}/{verb}", headers=headers)


async def done(api: Api, threshold_id: str, verb: str) -> Any:
    """The attributes of a rule after a verb that is carried out."""
    answer = await turn(api, threshold_id, verb)
    assert answer.status == 200, answer.text
    return answer.attributes


async def republish(api: Api, threshold_id: str, **attributes: Any) -> int:
    """Change a rule and bring the change into force; the number of that version."""
    answer = await change(api, threshold_id, **attributes)
    assert answer.status == 200, answer.text
    number: int = (await done(api, threshold_id, "publish"))["version"]
    return number


async def shown(api: Api, threshold_id: str) -> Any:
    """The attributes of a rule as a partner reads it."""
    answer = await api.get(f"thresholds/{threshold_id}")
    assert answer.status == 200, answer.text
    return answer.attributes


async def versions(api: Api, threshold_id: str) -> list[Any]:
    """The attributes of a rule's versions, newest first."""
    return [each["attributes"] for each in (await api.get(f"thresholds/{threshold_id}/versions")).data]


async def counted(api: Api, threshold_id: str) -> list[tuple[int, str, str | None]]:
    """Which version counts from when until when, in order."""
    found = [
        (each["version"], stretch["from"], stretch["until"])
        for each in await versions(api, threshold_id)
        for stretch in each["counted"]
    ]
    return sorted(found, key=lambda stretch: stretch[1])
