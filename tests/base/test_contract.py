"""What is described is what is answered: requests made up from the description, and what comes back held against it."""

import asyncio
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api import JSON_API, Api

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 6
"""Of each operation; every run makes up others."""


def hold(api: Api, operation: Any, session: requests.Session) -> int:
    """Ask one operation what the description allows and forbids; how often it was answered with what was asked for."""
    went_well = 0

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        nonlocal went_well
        if case.media_type:
            case.media_type = JSON_API
        credential = {"Client-ID": api.client_id, "Authorization": f"Bearer {api.secret}"}
        answer = case.call(base_url=api.base_url, session=session, headers=credential)
        case.validate_response(answer, checks=CHECKS)
        went_well += answer.status_code < 300

    ask()
    return went_well


async def test_every_operation_answers_as_it_is_described(api: Api) -> None:
    schema = schemathesis.openapi.from_dict((await api.get("/openapi.json")).body)
    await api.issue()

    def hold_all() -> dict[str, int]:
        answered, faults = {}, []
        with requests.Session() as session:
            for found in schema.get_all_operations():
                assert isinstance(found, Ok), found
                operation = found.ok()
                if not operation.path.startswith("/api/") or operation.path.endswith("/stream"):  # it would never end
                    continue
                try:
                    answered[operation.label] = hold(api, operation, session)
                except Exception as fault:  # noqa: BLE001 - every operation is told, not the first alone
                    faults.append(
                        f"{operation.label}: {type(fault).__name__}: {fault} {getattr(fault, 'exceptions', '')}"
                    )
        assert faults == [], "\n".join(faults)
        return answered

    answered = await asyncio.to_thread(hold_all)
    assert len(answered) > 30
    assert sum(answered.values()) > len(answered)
