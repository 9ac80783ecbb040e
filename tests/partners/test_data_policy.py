"""Whose data a partner may send is an operator's word, and holds for every request of the partner."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tallystick import partners
from tallystick.base.work import DataPolicy, Runtime
from tests.activity.cast import purchase, send
from tests.api import Api, document_of


async def _set(runtime: Runtime, api: Api, policy: DataPolicy) -> partners.Agreement:
    async with runtime.pool.lend() as db, db.connection.transaction():
        found = await partners.list_agreements(db, api.tenant.programme_id)
        agreement = next(one for one in found if one.partner_id == api.partner_id)
        return await partners.set_data_policy(db, agreement.id, policy)


async def test_a_new_agreement_lets_a_partner_send_everyones_data(runtime: Runtime, api: Api) -> None:
    async with runtime.pool.lend() as db:
        (agreement,) = await partners.list_agreements(db, api.tenant.programme_id)
    assert agreement.data_policy == DataPolicy("all", "all", "all")


@pytest.mark.parametrize("kind", ["transactions", "visits", "orders"])
async def test_each_kind_has_a_policy_of_its_own(runtime: Runtime, api: Api, kind: str) -> None:
    wanted: dict[str, Any] = {kind: "none"}
    changed = await _set(runtime, api, replace(DataPolicy(), **wanted))
    assert getattr(changed.data_policy, kind) == "none"
    assert sorted([changed.data_policy.transactions, changed.data_policy.visits, changed.data_policy.orders]) == [
        "all",
        "all",
        "none",
    ]


async def test_who_consented_may_be_told_of_and_nobody_else(runtime: Runtime, api: Api) -> None:
    await _set(runtime, api, DataPolicy(transactions="consented"))
    user = await api.user()
    refused = await send(api, purchase("r1", user=user))
    assert (refused.status, refused.codes) == (403, ["PermissionMissing"])
    permitted = document_of("UserSharing", permissions=["transactions"])
    assert (await api.patch(f"users/{user}/sharing", permitted)).status == 200
    assert (await send(api, purchase("r1", user=user))).status == 201
    async with runtime.reading(api.tenant) as work:
        sql = "select count(*) from activities where tenant_id = $1 and customer_id = $2"
        assert await work.db.value(sql, api.tenant.id, UUID(user)) == 1
