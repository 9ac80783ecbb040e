"""Note an accepted write where it happens: its row in the request log commits with it."""

from typing import TypeAlias, cast
from uuid import UUID

import tallystick.audit.store as store
from tallystick.base.work import Asked, Work

Note: TypeAlias = tuple[UUID, UUID, UUID, str, str, int, str | None, UUID | None]
"""Request, partner, client, method, route, status, code, resource: a plain tuple, since there is one for every write."""


def note(work: Work, asked: Asked, *, status: int, resource_id: UUID | None = None, code: str | None = None) -> None:
    """The request is in the log if and only if the work commits."""
    caller = asked.caller
    work.logged.append(
        (asked.request_id, caller.partner_id, caller.client_id, asked.method, asked.route, status, code, resource_id)
    )


async def write_requests(work: Work) -> None:
    """The closing of a work: one insert of everything noted, beside its other last writes; none when nothing was."""
    if work.logged:
        store.insert_notes(work, tuple(zip(*cast("list[Note]", work.logged), strict=True)))
