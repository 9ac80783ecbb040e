"""Every statement on `activity_keys`, `activities` and `activity_waits` that landing and reading need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from tallystick.activity.model import Activity, Attribution, Kind
from tallystick.base.db import Row, Step
from tallystick.base.work import Work

By = Literal["all", "customer", "merchant", "import", "id", "unknown"]

COLUMNS = """id, partner_id, merchant_id, kind, type, source, source_id, occurred_at, received_at, channel, location_id, currency,
    amount, tax, units, coalesce(categories, '{}'), coalesce(category_amounts, '{}'), coalesce(category_taxes, '{}'),
    coalesce(category_units, '{}'), coalesce(methods, '{}'), coalesce(method_amounts, '{}'), customer_id, identity_kind,
    linked_source_id, linked_id, attribution, returned_amount, returned_units, voided, import_id, import_line, request_id,
    payload_sealed"""

LOOK = """
select taken, purchases, merchants, locations, quotas
from activity_look($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

# Sums by category and method are lists of their own in each row; they come as text, since arrays of arrays are of one length.
# A column comes as an array, or, where all rows have the same, as an empty array with that one value behind it.
INSERT = Step(
    (
        (
            "landed",
            """
insert into activities (
    tenant_id, id, partner_id, merchant_id, kind, type, source, source_id, occurred_at, received_at, channel, location_id,
    currency, amount, tax, units, categories, category_amounts, category_taxes, category_units, methods, method_amounts,
    customer_id, identity_kind, identity_index, linked_source_id, linked_id, attribution, returned_amount, returned_units,
    voided, import_id, import_line, release_at, request_id, payload_sealed
)
select
    $1, fresh.id, coalesce(fresh.partner_id, $5::uuid), coalesce(fresh.merchant_id, $7::uuid), coalesce(fresh.kind, $9::text),
    coalesce(fresh.type, $11::text), coalesce(fresh.source, $13::text), coalesce(fresh.source_id, $15::text),
    coalesce(fresh.occurred_at, $17::timestamptz), $2, coalesce(fresh.channel, $19::text),
    coalesce(fresh.location_id, $21::uuid), coalesce(fresh.currency, $23::text), coalesce(fresh.amount, $25::bigint),
    coalesce(fresh.tax, $27::bigint), coalesce(fresh.units, $29::bigint), coalesce(fresh.categories, $31::text)::text[],
    coalesce(fresh.category_amounts, $33::text)::bigint[], coalesce(fresh.category_taxes, $35::text)::bigint[],
    coalesce(fresh.category_units, $37::text)::bigint[], coalesce(fresh.methods, $39::text)::text[],
    coalesce(fresh.method_amounts, $41::text)::bigint[], coalesce(fresh.customer_id, $43::uuid),
    coalesce(fresh.identity_kind, $45::text), coalesce(fresh.identity_index, $47::bytea),
    coalesce(fresh.linked_source_id, $49::text), coalesce(fresh.linked_id, $51::uuid), coalesce(fresh.attribution, $53::text),
    coalesce(fresh.returned_amount, $55::bigint), coalesce(fresh.returned_units, $57::bigint),
    coalesce(fresh.voided, $59::boolean), coalesce(fresh.import_id, $61::uuid), coalesce(fresh.import_line, $63::bigint),
    coalesce(fresh.release_at, $65::timestamptz), coalesce(fresh.request_id, $67::uuid),
    coalesce(fresh.payload_sealed, $69::bytea)
from unnest(
    $3::uuid[], $4::uuid[], $6::uuid[], $8::text[], $10::text[], $12::text[], $14::text[], $16::timestamptz[], $18::text[],
    $20::uuid[], $22::text[], $24::bigint[], $26::bigint[], $28::bigint[], $30::text[], $32::text[], $34::text[], $36::text[],
    $38::text[], $40::text[], $42::uuid[], $44::text[], $46::bytea[], $48::text[], $50::uuid[], $52::text[], $54::bigint[],
    $56::bigint[], $58::boolean[], $60::uuid[], $62::bigint[], $64::timestamptz[], $66::uuid[], $68::bytea[]
) as fresh (
    id, partner_id, merchant_id, kind, type, source, source_id, occurred_at, channel, location_id, currency, amount, tax, units,
    categories, category_amounts, category_taxes, category_units, methods, method_amounts, customer_id, identity_kind,
    identity_index, linked_source_id, linked_id, attribution, returned_amount, returned_units, voided, import_id, import_line,
    release_at, request_id, payload_sealed
)
""",
        ),
    )
)

RETURN = Step(
    (
        (
            "returned",
            """
update activities as a
set returned_amount = fresh.returned_amount, returned_units = fresh.returned_units, voided = fresh.voided
from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::boolean[]) as fresh (id, returned_amount, returned_units, voided)
where a.tenant_id = $1 and a.id = fresh.id and a.id = any($2)
""",
        ),
    )
)

LINK = Step(
    (
        (
            "linked",
            """
update activities as a
set linked_id = fresh.linked_id
from unnest($2::uuid[], $3::uuid[]) as fresh (id, linked_id)
where a.tenant_id = $1 and a.id = fresh.id and a.id = any($2)
""",
        ),
    )
)

WAIT = Step(
    (
        (
            "waiting",
            """
insert into activity_waits (tenant_id, source, source_id, activity_id)
select $1, fresh.source, fresh.source_id, fresh.activity_id
from unnest($2::text[], $3::text[], $4::uuid[]) as fresh (source, source_id, activity_id)
""",
        ),
    )
)

NAME = Step(
    (
        (
            "named",
            """
update activity_keys as k
set activity_id = fresh.id, fingerprint = fresh.fingerprint, partner_id = fresh.partner_id
from unnest($2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bytea[]) as fresh (source, source_id, partner_id, id, fingerprint)
where k.tenant_id = $1 and k.source = fresh.source and k.source_id = fresh.source_id
    and k.source = any($2) and k.source_id = any($3)
""",
        ),
    )
)

# From now on the changes of this tenant's customers are followed.
FOLLOW = Step(
    (
        (
            "followed",
            """
insert into activity_cursors (tenant_id, name, changed_at, customer_id)
select $1, named.name, $2, '00000000-0000-0000-0000-000000000000' from unnest(array['fresh', 'sure']) as named (name)
on conflict on constraint activity_cursors_pkey do nothing
""",
        ),
    )
)

TAKE_WAITS = "select waited from activity_waits_take($1, $2, $3)"

DROP_NAMES = "select activity_names_drop($1, $2, $3, $4)"

STANDING = """
select a.id, a.attribution, a.customer_id
from unnest($2::uuid[]) as one (id)
cross join lateral (
    select held.id, held.attribution, held.customer_id from activities as held where held.tenant_id = $1 and held.id = one.id
) as a
"""

BY_IDS = f"""
select {COLUMNS}
from unnest($2::uuid[]) as one (wanted)
join activities on tenant_id = $1 and id = one.wanted
"""

BY_NAME = "select activity_id from activity_keys where tenant_id = $1 and source = $2 and source_id = $3"

# One statement for each way to find them, so that each is found by its own index. Ids are in the order of their making.
LISTED = f"""
select {COLUMNS}
from activities
where tenant_id = $1 and kind = $2 and ($3::uuid is null or partner_id = $3) and ($4::uuid[] is null or merchant_id = any($4))
    and ($5::text is null or type = $5) and id < $6
"""
ALL = f"{LISTED} order by id desc limit $7"
OF_CUSTOMER = f"{LISTED} and customer_id = $8::uuid order by id desc limit $7"
OF_MERCHANT = f"{LISTED} and merchant_id = $8::uuid order by id desc limit $7"
OF_IMPORT = f"{LISTED} and import_id = $8::uuid order by id desc limit $7"
OF_ID = f"{LISTED} and id = $8::uuid order by id desc limit $7"
OF_NOBODY = f"{LISTED} and customer_id is null and identity_index is not null order by id desc limit $7"
LISTS: Final[Mapping[By, str]] = {
    "all": ALL,
    "customer": OF_CUSTOMER,
    "merchant": OF_MERCHANT,
    "import": OF_IMPORT,
    "id": OF_ID,
    "unknown": OF_NOBODY,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is listed, and by what it is found: `named` is that customer, merchant, import or activity."""

    by: By
    named: UUID | None
    kind: Kind
    partner_id: UUID | None
    merchant_ids: Sequence[UUID] | None
    type: str | None
    before: UUID


async def look(work: Work, columns: Sequence[object]) -> Row:
    """Claim names, lock what is taken back, and read everything that landing must know, in one round trip."""
    row = await work.db.row(LOOK, work.tenant.id, work.now, *columns)
    assert row is not None, "a look answers one row"
    return row


async def write(work: Work, steps: Sequence[tuple[Step, Sequence[object]]]) -> None:
    """Carry out the steps of landing in one round trip; the tenant is the first parameter of each."""
    await work.db.together([(step, (work.tenant.id, *args)) for step, args in steps])


async def take_waits(work: Work, sources: Sequence[str], source_ids: Sequence[str]) -> str | None:
    """What waited for these names (JSON), locked by id; it waits no more."""
    waited: str | None = await work.db.value(TAKE_WAITS, work.tenant.id, sources, source_ids)
    return waited


async def drop_names(work: Work, names: Sequence[tuple[str, str, UUID | None]]) -> None:
    """Give names back (source, source id, the id they stood for); those that something waits for stay as its lock."""
    await work.db.run(DROP_NAMES, work.tenant.id, [n[0] for n in names], [n[1] for n in names], [n[2] for n in names])


async def standing(work: Work, activity_ids: Sequence[UUID]) -> dict[UUID, tuple[Attribution, UUID | None]]:
    """Attribution and customer of activities; what was detached is absent."""
    return {row[0]: (row[1], row[2]) for row in await work.db.rows(STANDING, work.tenant.id, activity_ids)}


async def by_ids(work: Work, activity_ids: Sequence[UUID]) -> dict[UUID, Activity]:
    """Activities by id, for reading; unknown ids, and what was detached, are absent."""
    rows = await work.db.rows(BY_IDS, work.tenant.id, activity_ids)
    return {row[0]: activity(row) for row in rows}


def activity(row: Row) -> Activity:
    """The activity of a row of `COLUMNS`."""
    values = list(row)
    values[15:21] = [tuple(each) for each in values[15:21]]
    return Activity(*values)


async def by_name(work: Work, source: str, source_id: str) -> UUID | None:
    """The activity of a name."""
    found: UUID | None = await work.db.value(BY_NAME, work.tenant.id, source, source_id)
    return found


async def listed(work: Work, wanted: Wanted, limit: int) -> list[Activity]:
    """The newest of what is wanted, up to a number."""
    rows = await work.db.rows(
        LISTS[wanted.by],
        work.tenant.id,
        wanted.kind,
        wanted.partner_id,
        wanted.merchant_ids,
        wanted.type,
        wanted.before,
        limit,
        *(() if wanted.named is None else (wanted.named,)),
    )
    return [activity(row) for row in rows]
