"""Every statement on the directory: programmes, tenants, partners, agreements, clients and their secrets."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import date, datetime
from uuid import UUID

from tallystick.base.db import Db, Row
from tallystick.base.work import DataPolicy, Environment, Tenant, Work
from tallystick.partners.model import Agreement, Client, NewClient, Partner, Programme, Secret

INSERT_PROGRAMME = "insert into programmes (id, name, created_at) values ($1, $2, $3)"

INSERT_TENANT = "insert into tenants (id, programme_id, environment, created_at) values ($1, $2, $3, $4)"

ENTER = "select set_config('tallystick.tenant', $1, true)"

# Every tenant has its head from the beginning, so that numbering events never has to make one.
INSERT_HEAD = "insert into tenant_heads (tenant_id) values ($1)"

CLOCK_OFFSET = "select clock_offset from tenants where id = $1"

PROGRAMMES = """
select p.id, p.name, p.created_at, s.id, l.id
from programmes as p
join tenants as s on s.programme_id = p.id and s.environment = 'sandbox'
join tenants as l on l.programme_id = p.id and l.environment = 'production'
order by p.created_at, p.id
"""

TENANT = "select id, programme_id, environment from tenants where id = $1"

INSERT_PARTNER = "insert into partners (id, name, status, created_at) values ($1, $2, $3, $4)"

PARTNERS = "select id, name, status, created_at from partners order by created_at, id"

SET_PARTNER = "update partners set status = $2 where id = $1 returning id, name, status, created_at"

AGREEMENT_COLUMNS = """id, partner_id, programme_id, visibility, status, created_at, transactions_policy, visits_policy,
    orders_policy, review_due_at"""

# An agreement that ended begins again; one that is active is left as it is, and nothing is answered.
AGREE = f"""
insert into agreements as made (id, partner_id, programme_id, visibility, status, created_at, review_due_at)
values ($1, $2, $3, $4, 'active', $5, $6)
on conflict (partner_id, programme_id) do update
set status = 'active', visibility = excluded.visibility, review_due_at = excluded.review_due_at, review_told = 0
where made.status = 'ended'
returning {AGREEMENT_COLUMNS}
"""

AGREEMENTS = f"""
select {AGREEMENT_COLUMNS} from agreements where $1::uuid is null or programme_id = $1 order by created_at, id
"""

AGREEMENT = f"select {AGREEMENT_COLUMNS} from agreements where id = $1"

SET_POLICY = f"""
update agreements set transactions_policy = $2, visits_policy = $3, orders_policy = $4 where id = $1 returning {AGREEMENT_COLUMNS}
"""

END_AGREEMENT = f"update agreements set status = 'ended' where id = $1 returning {AGREEMENT_COLUMNS}"

CLIENT_COLUMNS = """c.id, c.tenant_id, t.programme_id, t.environment, c.agreement_id, a.partner_id, c.name, c.scopes,
    c.merchant_ids, c.rate_per_minute, c.rate_burst, c.status, c.created_at, c.revoked_at"""

CLIENTS_JOINED = (
    "from clients as c join tenants as t on t.id = c.tenant_id join agreements as a on a.id = c.agreement_id"
)

INSERT_CLIENT = """
insert into clients (
    id, tenant_id, agreement_id, name, scopes, merchant_ids, rate_per_minute, rate_burst, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

CLIENT = f"select {CLIENT_COLUMNS} {CLIENTS_JOINED} where c.id = $1"

CLIENTS = (
    f"select {CLIENT_COLUMNS} {CLIENTS_JOINED} where $1::uuid is null or c.tenant_id = $1 order by c.created_at, c.id"
)

OF_PARTNER = f"{CLIENTS_JOINED} where c.tenant_id = $1 and a.partner_id = $2"

COUNT_OF_PARTNER = f"select count(*) {OF_PARTNER}"

LIST_OF_PARTNER = f"select {CLIENT_COLUMNS} {OF_PARTNER} order by c.created_at desc, c.id desc offset $3 limit $4"

ONE_OF_PARTNER = f"select {CLIENT_COLUMNS} {OF_PARTNER} and c.id = $3"

LOCK_CLIENTS = "select id from clients where id = any($1::uuid[]) order by id for no key update"

REVOKE_CLIENT = "update clients set status = 'revoked', revoked_at = $2 where id = $1 and status = 'active'"

SECRET_COLUMNS = "id, client_id, tail, created_at, expires_at, revoked_at, last_used_on"  # noqa: S105 - names of columns

ADD_SECRET = """
insert into client_secrets (id, client_id, digest, tail, created_at) values ($1, $2, $3, $4, $5)
"""  # noqa: S105 - a statement

SECRETS = (
    f"select {SECRET_COLUMNS} from client_secrets where client_id = any($1::uuid[]) order by created_at desc, id desc"
)

LIMIT_SECRETS = """
update client_secrets set expires_at = least(expires_at, $2) where id = any($1::uuid[])
"""

REVOKE_SECRETS = "update client_secrets set revoked_at = $2 where id = any($1::uuid[]) and revoked_at is null"

USED_ON = """
update client_secrets set last_used_on = $2 where id = $1 and (last_used_on is null or last_used_on < $2)
"""

# How often the partner was told of this credential: the next event's number, under the client's lock.
TOLD = """
select greatest(
    (select coalesce(max(sequence), 0) from events where tenant_id = $1 and subject_id = $2),
    (select coalesce(max(sequence), 0) from event_sequences where tenant_id = $1 and subject_id = $2)
)
"""


async def insert_programme(db: Db, programme: Programme) -> None:
    """Insert a programme with both its tenants and their heads."""
    await db.run(INSERT_PROGRAMME, programme.id, programme.name, programme.created_at)
    for tenant in (programme.sandbox, programme.production):
        await db.run(INSERT_TENANT, tenant.id, tenant.programme_id, tenant.environment, programme.created_at)
        await enter(db, tenant.id)
        await db.run(INSERT_HEAD, tenant.id)


async def enter(db: Db, tenant_id: UUID) -> None:
    """See and write this tenant's rows until the transaction ends, or another tenant is entered."""
    await db.run(ENTER, str(tenant_id))


async def tenant_now(db: Db, tenant_id: UUID, now: datetime) -> datetime:
    """The tenant's instant at the real instant `now`."""
    at: datetime = now + await db.value(CLOCK_OFFSET, tenant_id)
    return at


async def programmes(db: Db) -> list[Programme]:
    """Every programme, oldest first."""
    return [
        Programme(row[0], row[1], Tenant(row[3], row[0], "sandbox"), Tenant(row[4], row[0], "production"), row[2])
        for row in await db.rows(PROGRAMMES)
    ]


async def tenant(db: Db, tenant_id: UUID) -> Tenant | None:
    """The tenant with this id."""
    row = await db.row(TENANT, tenant_id)
    return None if row is None else Tenant(*row)


async def insert_partner(db: Db, partner: Partner) -> None:
    """Insert a partner."""
    await db.run(INSERT_PARTNER, *astuple(partner))


async def partners(db: Db) -> list[Partner]:
    """Every partner, oldest first."""
    return [Partner(*row) for row in await db.rows(PARTNERS)]


async def set_partner(db: Db, partner_id: UUID, status: str) -> Partner | None:
    """Suspend a partner or let it in again; None when there is no such partner."""
    row = await db.row(SET_PARTNER, partner_id, status)
    return None if row is None else Partner(*row)


async def agree(db: Db, agreement: Agreement) -> Agreement | None:
    """Insert an agreement, or begin one again that ended; None where one is active."""
    row = await db.row(
        AGREE,
        agreement.id,
        agreement.partner_id,
        agreement.programme_id,
        agreement.visibility,
        agreement.created_at,
        agreement.review_due_at,
    )
    return None if row is None else _agreement(row)


async def agreements(db: Db, programme_id: UUID | None) -> list[Agreement]:
    """Every agreement of a programme, oldest first; of all for None."""
    return [_agreement(row) for row in await db.rows(AGREEMENTS, programme_id)]


async def agreement(db: Db, agreement_id: UUID) -> Agreement | None:
    """The agreement with this id."""
    row = await db.row(AGREEMENT, agreement_id)
    return None if row is None else _agreement(row)


async def end_agreement(db: Db, agreement_id: UUID) -> Agreement | None:
    """End an agreement; None when there is no such agreement."""
    row = await db.row(END_AGREEMENT, agreement_id)
    return None if row is None else _agreement(row)


async def set_policy(db: Db, agreement_id: UUID, policy: DataPolicy) -> Agreement | None:
    """Whose data may be sent from now on; None when there is no such agreement."""
    row = await db.row(SET_POLICY, agreement_id, policy.transactions, policy.visits, policy.orders)
    return None if row is None else _agreement(row)


async def insert_client(db: Db, client_id: UUID, new: NewClient, now: datetime) -> None:
    """Insert a client, without a secret yet."""
    await db.run(
        INSERT_CLIENT,
        client_id,
        new.tenant_id,
        new.agreement_id,
        new.name,
        sorted(new.scopes),
        new.merchant_ids,
        new.rate_per_minute,
        new.rate_burst,
        now,
    )


async def client(db: Db, client_id: UUID) -> Client | None:
    """The client with this id."""
    row = await db.row(CLIENT, client_id)
    return None if row is None else _client(row)


async def clients(db: Db, tenant_id: UUID | None) -> list[Client]:
    """Every client of a tenant, oldest first; of all for None."""
    return [_client(row) for row in await db.rows(CLIENTS, tenant_id)]


async def client_of(work: Work, partner_id: UUID, client_id: UUID) -> Client | None:
    """The client, where it is this partner's in this tenant."""
    row = await work.db.row(ONE_OF_PARTNER, work.tenant.id, partner_id, client_id)
    return None if row is None else _client(row)


async def clients_of(work: Work, partner_id: UUID, offset: int, limit: int) -> tuple[list[Client], int]:
    """A page of the partner's clients in this tenant, newest first, and how many there are."""
    total: int = await work.db.value(COUNT_OF_PARTNER, work.tenant.id, partner_id)
    rows = await work.db.rows(LIST_OF_PARTNER, work.tenant.id, partner_id, offset, limit) if offset < total else []
    return [_client(row) for row in rows], total


async def lock_clients(db: Db, client_ids: Sequence[UUID]) -> None:
    """Hold these clients, in the order of their ids, until the transaction ends."""
    await db.rows(LOCK_CLIENTS, client_ids)


async def revoke_client(db: Db, client_id: UUID, now: datetime) -> None:
    """The client is let in no more."""
    await db.run(REVOKE_CLIENT, client_id, now)


async def insert_secret(db: Db, secret: Secret, digest: bytes) -> None:
    """Insert a secret as its keyed hash."""
    await db.run(ADD_SECRET, secret.id, secret.client_id, digest, secret.tail, secret.created_at)


async def secrets_of(db: Db, client_ids: Sequence[UUID]) -> list[Secret]:
    """Every secret these clients ever had, newest first."""
    return [Secret(*row) for row in await db.rows(SECRETS, client_ids)]


async def limit_secrets(db: Db, secret_ids: Sequence[UUID], until: datetime) -> None:
    """These secrets end at `until`, or earlier where they did already."""
    await db.run(LIMIT_SECRETS, secret_ids, until)


async def revoke_secrets(db: Db, secret_ids: Sequence[UUID], now: datetime) -> None:
    """These secrets, and the tokens they minted, open nothing any more."""
    await db.run(REVOKE_SECRETS, secret_ids, now)


async def used_on(db: Db, secret_id: UUID, day: date) -> None:
    """Remember the last day on which a secret was used."""
    await db.run(USED_ON, secret_id, day)


async def told(work: Work, client_id: UUID) -> int:
    """How many events about the client are committed."""
    number: int = await work.db.value(TOLD, work.tenant.id, client_id)
    return number


def _client(row: Row) -> Client:
    environment: Environment = row[3]
    return Client(
        row[0],
        Tenant(row[1], row[2], environment),
        row[4],
        row[5],
        row[6],
        frozenset(row[7]),
        None if row[8] is None else tuple(row[8]),
        *(row[position] for position in range(9, 14)),
    )


def _agreement(row: Row) -> Agreement:
    return Agreement(row[0], row[1], row[2], row[3], row[4], row[5], DataPolicy(row[6], row[7], row[8]), row[9])
