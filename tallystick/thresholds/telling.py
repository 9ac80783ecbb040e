"""Tell of progress: one event after another for each place, numbered under the lock that its row already has."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import tallystick.thresholds.progress_store as store
from tallystick import events
from tallystick.base.work import Work
from tallystick.thresholds import actions, progress_resource
from tallystick.thresholds.advancing import Place
from tallystick.thresholds.progress import Progress


async def tell(
    work: Work, topics: Sequence[tuple[Place, str]], partners: Mapping[UUID, UUID], requests: Mapping[Place, UUID]
) -> None:
    """Record these topics of places whose rows are locked; those of one place in their order.

    `partners` is by threshold; `requests` are those that moved each place.
    """
    of_place: dict[Place, list[str]] = {}
    for place, topic in topics:
        of_place.setdefault(place, []).append(topic)
    if not of_place:
        return
    places = sorted(of_place)
    found = await store.tell(work, places, [len(of_place[place]) for place in places])
    versions = await actions.versions(work, list({(each.threshold_id, each.number) for each in found}))
    for each in sorted(found, key=_place):
        told = of_place[_place(each)]
        document = progress_resource.shown(each, versions[each.threshold_id, each.number], work.now)
        for nth, topic in enumerate(told, 1):
            events.record(
                work,
                events.Event(
                    topic=topic,
                    subject_type="ThresholdProgress",
                    subject_id=each.id,
                    sequence=each.told - len(told) + nth,
                    document=document,
                    partner_id=partners[each.threshold_id],
                    merchant_id=each.merchant_id,
                    request_id=requests[_place(each)],
                ),
            )


def _place(each: Progress) -> Place:
    return each.threshold_id, each.customer_id, each.window_start
