"""The statements of the door: who holds a secret or a token, and the tokens themselves."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Db, Row
from tallystick.base.work import Caller, DataPolicy, Tenant
from tallystick.partners.model import Holder

HOLDER = """c.id, c.tenant_id, t.programme_id, t.environment, a.partner_id, a.visibility, c.scopes, c.merchant_ids,
    c.rate_per_minute, c.rate_burst, s.id, c.status <> 'active' or s.revoked_at is not null, s.expires_at,
    p.status = 'active' and a.status = 'active', s.last_used_on,
    a.transactions_policy, a.visits_policy, a.orders_policy"""

CLIENT = """
join clients as c on c.id = s.client_id
join tenants as t on t.id = c.tenant_id
join agreements as a on a.id = c.agreement_id
join partners as p on p.id = a.partner_id
"""

# Found by the hash alone: the statement is the same whoever says to be calling, so that an unknown client and a wrong secret
# cannot be told apart by what it does or how long it takes.
BY_SECRET = f"select {HOLDER} from client_secrets as s {CLIENT} where s.digest = any($1::bytea[])"

BY_TOKEN = f"""
select {HOLDER}, k.scopes, k.issued_at, k.expires_at, k.revoked_at is not null
from access_tokens as k
join client_secrets as s on s.id = k.secret_id {CLIENT}
where k.digest = any($1::bytea[])
"""

# A client without any of its secrets: who acts for it is proved in another way.
BY_CLIENT = f"""
select {HOLDER}
from (
    select $1::uuid as client_id, null::uuid as id, null::timestamptz as revoked_at, null::timestamptz as expires_at,
        null::date as last_used_on
) as s {CLIENT}
"""

SIGHT = """
select a.partner_id, a.visibility = 'programme'
from agreements as a
join partners as p on p.id = a.partner_id
where a.programme_id = $1 and a.partner_id = any($2::uuid[]) and a.status = 'active' and p.status = 'active'
"""

INSERT_TOKEN = """
insert into access_tokens (digest, client_id, secret_id, scopes, issued_at, expires_at) values ($1, $2, $3, $4, $5, $6)
"""  # noqa: S105 - a statement

REVOKE_TOKEN = """
update access_tokens set revoked_at = $3 where digest = any($1::bytea[]) and client_id = $2 and revoked_at is null
"""  # noqa: S105 - a statement

DELETE_TOKENS = """
delete from access_tokens
where digest = any(array(select k.digest from access_tokens as k where k.expires_at < $1 order by k.expires_at limit $2))
returning digest
"""


async def by_secret(db: Db, digests: Sequence[bytes]) -> Holder | None:
    """Who holds the secret with one of these hashes."""
    row = await db.row(BY_SECRET, digests)
    return None if row is None else _holder(row, frozenset(row[6]), ended=row[11], until=row[12])


async def by_token(db: Db, digests: Sequence[bytes]) -> Holder | None:
    """Who holds the token with one of these hashes. It ends with the secret that minted it."""
    row = await db.row(BY_TOKEN, digests)
    if row is None:
        return None
    # A token never carries more than its client does by now.
    scopes = frozenset(row[6]) & frozenset(row[18])
    until = row[20] if row[12] is None else min(row[12], row[20])
    return _holder(row, scopes, ended=row[11] or row[21], until=until, issued_at=row[19])


async def by_client(db: Db, client_id: UUID) -> Caller | None:
    """Who this client is, revoked or not; None where its partner is suspended or the agreement has ended."""
    row = await db.row(BY_CLIENT, client_id)
    return None if row is None or not row[13] else _holder(row, frozenset(row[6]), ended=False, until=None).caller


async def insert_token(
    db: Db, digest: bytes, holder: Holder, scopes: Sequence[str], issued_at: datetime, expires_at: datetime
) -> None:
    """Insert a token as its keyed hash, minted by the holder's secret."""
    await db.run(INSERT_TOKEN, digest, holder.caller.client_id, holder.secret_id, scopes, issued_at, expires_at)


async def revoke_token(db: Db, digests: Sequence[bytes], client_id: UUID, now: datetime) -> None:
    """The token opens nothing any more, if it is this client's."""
    await db.run(REVOKE_TOKEN, digests, client_id, now)


async def delete_tokens(db: Db, before: datetime, limit: int) -> int:
    """Delete tokens that expired before an instant; how many."""
    return len(await db.rows(DELETE_TOKENS, before, limit))


def _holder(
    row: Row, scopes: frozenset[str], *, ended: bool, until: datetime | None, issued_at: datetime | None = None
) -> Holder:
    caller = Caller(
        tenant=Tenant(row[1], row[2], row[3]),
        partner_id=row[4],
        client_id=row[0],
        scopes=scopes,
        merchant_ids=None if row[7] is None else tuple(row[7]),
        sees_programme=row[5] == "programme",
        rate_per_minute=row[8],
        rate_burst=row[9],
        data_policy=DataPolicy(row[15], row[16], row[17]),
    )
    return Holder(caller, row[10], ended, until, row[13], row[14], issued_at)


async def sight(db: Db, programme_id: UUID, partner_ids: Sequence[UUID]) -> dict[UUID, bool]:
    """Of these partners those that stand with the programme, and whether they see all of it."""
    return {row[0]: row[1] for row in await db.rows(SIGHT, programme_id, partner_ids)}
