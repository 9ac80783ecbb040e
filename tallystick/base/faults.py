"""Errors on their way out: one place that writes them as JSON:API error objects."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tallystick.base import clock, ids
from tallystick.base.errors import Refusal

_encode = msgspec.json.Encoder().encode


def render(faults: Sequence[Refusal], environment: str | None, path: str, request_id: UUID, now: datetime) -> bytes:
    """The errors document. `path` is without its query, which may name a phone."""
    meta = {
        "environment": environment,
        "timestamp": clock.render(now),
        "path": path.encode("utf-8", "replace").decode()[:500],
        "requestId": str(request_id),
    }
    return _encode({"errors": [_error(fault, meta) for fault in faults]})


def _error(fault: Refusal, meta: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] = {
        "id": str(ids.new()),
        "status": str(fault.status),
        "code": fault.code,
        "title": fault.title,
        "detail": fault.detail,
        "meta": meta,
    }
    if fault.source is not None:
        error["source"] = {fault.source.kind: fault.source.name}
    return error
