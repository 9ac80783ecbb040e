"""Which merchant a request is for."""

from uuid import UUID

import pytest

from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, attribute
from tallystick.base.work import Runtime, Tenant
from tallystick.merchants import Changes, MerchantDirectory, MerchantRef, TenantMerchants, choose, configure
from tests.merchants.cast import add, caller

TENANT = Tenant(ids.new(), ids.new(), "sandbox")
LUNA, SOL, CLOSED = ids.new(), ids.new(), ids.new()
STRANGER = ids.new()


def of(*merchant_ids: UUID) -> TenantMerchants:
    return TenantMerchants.of([MerchantRef(each, "DE", each != CLOSED) for each in merchant_ids])


@pytest.mark.parametrize(
    ("existing", "allowed", "named", "chosen"),
    [
        ((LUNA,), None, None, LUNA),
        ((LUNA, CLOSED), None, None, LUNA),
        ((LUNA, SOL), None, None, None),
        ((), None, None, None),
        ((CLOSED,), None, None, None),
        ((LUNA, SOL), None, SOL, SOL),
        ((LUNA, CLOSED), None, CLOSED, CLOSED),
        ((LUNA, SOL), None, STRANGER, None),
        ((LUNA, SOL), (SOL,), None, SOL),
        ((LUNA, CLOSED), (CLOSED,), None, CLOSED),
        ((LUNA, SOL), (SOL,), SOL, SOL),
        ((LUNA, SOL), (SOL,), LUNA, None),
        ((LUNA, SOL), (LUNA, SOL), None, None),
        ((LUNA, SOL), (LUNA, SOL), LUNA, LUNA),
        ((LUNA, CLOSED), (LUNA, CLOSED), None, LUNA),
        ((LUNA, SOL), (), None, None),
        ((LUNA,), (STRANGER,), None, None),
        ((LUNA,), (STRANGER,), STRANGER, None),
    ],
)
def test_a_request_is_for_the_merchant_it_names_or_the_only_one_its_client_may_act_for(
    existing: tuple[UUID, ...], allowed: tuple[UUID, ...] | None, named: UUID | None, chosen: UUID | None
) -> None:
    found = choose(caller(TENANT, allowed), of(*existing), named)
    if chosen is None:
        assert isinstance(found, InvalidRequest)
        assert found.source == attribute("merchantId")
    else:
        assert isinstance(found, MerchantRef)
        assert found.id == chosen


def test_a_merchant_of_someone_else_is_refused_as_one_that_does_not_exist() -> None:
    kept_from = choose(caller(TENANT, (LUNA,)), of(LUNA, SOL), SOL)
    missing = choose(caller(TENANT, (LUNA,)), of(LUNA, SOL), STRANGER)
    assert isinstance(kept_from, InvalidRequest)
    assert isinstance(missing, InvalidRequest)
    assert kept_from.detail == missing.detail


class Ticks:
    """A machine's clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def directory(runtime: Runtime, ticks: Ticks) -> MerchantDirectory:
    return MerchantDirectory(runtime, ticks=ticks)


async def test_a_merchant_is_known_without_a_statement_for_five_seconds(
    runtime: Runtime, tenant: Tenant, directory: MerchantDirectory, ticks: Ticks
) -> None:
    luna = await add(runtime, tenant)
    who = caller(tenant)
    assert directory.resolve_cached(who, None) is None
    assert await directory.resolve(who, None) == MerchantRef(luna.id, "DE", active=True)
    assert directory.resolve_cached(who, luna.id) == MerchantRef(luna.id, "DE", active=True)
    ticks.now += 5.1
    assert directory.resolve_cached(who, luna.id) is None


async def test_a_tenant_never_sees_what_is_kept_of_another(
    runtime: Runtime, tenant: Tenant, production: Tenant, directory: MerchantDirectory
) -> None:
    mine, theirs = await add(runtime, tenant), await add(runtime, production, country="AT")
    assert (await directory.resolve(caller(tenant), None)).id == mine.id
    assert (await directory.resolve(caller(production), None)).id == theirs.id
    assert directory.resolve_cached(caller(tenant), theirs.id) is None
    with pytest.raises(InvalidRequest):
        await directory.resolve(caller(tenant), theirs.id)


async def test_a_new_merchant_is_found_when_it_is_named_within_a_second(
    runtime: Runtime, tenant: Tenant, directory: MerchantDirectory, ticks: Ticks
) -> None:
    await add(runtime, tenant)
    who = caller(tenant)
    await directory.resolve(who, None)
    sol = await add(runtime, tenant)
    with pytest.raises(InvalidRequest):
        await directory.resolve(who, sol.id)
    ticks.now += 1.1
    assert (await directory.resolve(who, sol.id)).id == sol.id


async def test_a_change_made_here_holds_at_once_when_it_is_told(
    runtime: Runtime, tenant: Tenant, directory: MerchantDirectory
) -> None:
    luna = await add(runtime, tenant)
    who = caller(tenant)
    await directory.resolve(who, None)
    async with runtime.work(tenant) as work:
        await configure(work, luna.id, Changes(status="closed"))
    assert directory.resolve_cached(who, None) is not None
    directory.forget(tenant.id)
    with pytest.raises(InvalidRequest):
        await directory.resolve(who, None)


async def test_unknown_merchants_asked_for_again_and_again_cost_one_reading_a_second(
    runtime: Runtime, tenant: Tenant, directory: MerchantDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = 0
    begin = runtime.reading

    def counted(*args: object) -> object:
        nonlocal readings
        readings += 1
        return begin(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime, "reading", counted)
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            await directory.resolve(caller(tenant), ids.new())
    assert readings == 1
