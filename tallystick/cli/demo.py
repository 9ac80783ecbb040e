"""The demo: a partner, merchants, customers and credentials, in a sandbox and in production; made once, the same ever after."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tallystick import customers, enrolment, merchants, partners, rewards, wallets
from tallystick.base import ids
from tallystick.base.batcher import Verb, run_batch
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.cli.ground import columns, console, say

FILE: Final = "demo-credentials.json"
RATE: Final = 1_000_000
# Numbers set aside for fiction (North American 555-01xx).
ACTIVE_PHONE: Final = "+12025550143"
CLOSING_PHONE: Final = "+12025550167"
UNKNOWN_PHONE: Final = "+12025550189"


async def seed(runtime: Runtime, place: Path, base_url: str) -> dict[str, Any]:
    """The demo's credentials, made at the first call for this directory and read ever after."""
    file = place / FILE
    if file.exists():
        credentials: dict[str, Any] = json.loads(file.read_text())
        if await _known(runtime, credentials):
            if credentials["baseUrl"] != base_url:
                credentials["baseUrl"] = base_url
                write(file, credentials)
            return credentials
    async with runtime.pool.lend() as db, db.connection.transaction():
        now = runtime.clock()
        programme = await partners.add_programme(db, "Northwind", now)
        partner = await partners.add_partner(db, "Harbour Support", now)
        agreement = await partners.agree(db, partner.id, programme.id, "programme", now)
    credentials = {"baseUrl": base_url}
    for tenant in (programme.sandbox, programme.production):
        credentials[tenant.environment] = await _environment(runtime, tenant, partner.id, agreement.id)
    write(file, credentials)
    return credentials


async def _known(runtime: Runtime, credentials: dict[str, Any]) -> bool:
    """Whether this database is the one they were made in: the file may be older than it."""
    async with runtime.pool.lend() as db:
        return credentials["sandbox"]["clientId"] in {str(client.id) for client, _ in await partners.list_clients(db)}


async def _environment(runtime: Runtime, tenant: Tenant, partner_id: UUID, agreement_id: UUID) -> dict[str, str]:
    async with runtime.work(tenant) as work:
        luna = await merchants.add(work, merchants.NewMerchant("Café Luna", "USD", "US", "America/New_York"))
    async with runtime.pool.lend() as db, db.connection.transaction():
        scopes = frozenset(
            scope for scope in partners.SCOPES if tenant.environment == "sandbox" or "sandbox" not in scope
        )
        client, secret = await partners.add_client(
            db,
            runtime.keys,
            partners.NewClient(tenant.id, agreement_id, "demo", scopes, (luna.id,), RATE, RATE),
            runtime.clock(),
        )
    caller = Caller(tenant, partner_id, client.id, scopes, (luna.id,), True, RATE, RATE)
    await _wallet(runtime, caller, luna.id, ACTIVE_PHONE)
    closing = await _wallet(runtime, caller, luna.id, CLOSING_PHONE)
    # A wallet with value does not close at once: it stays closing, and takes nothing new.
    await _one(runtime, caller, rewards.issue, _gift(caller, luna.id, CLOSING_PHONE))
    await _one(runtime, caller, wallets.close, wallets.ChangeWallet(_asked(caller), closing))
    return {
        "clientId": str(client.id),
        "clientSecret": secret,
        "merchantId": str(luna.id),
        "activeWalletPhone": ACTIVE_PHONE,
        "closingWalletPhone": CLOSING_PHONE,
        "unknownPhone": UNKNOWN_PHONE,
    }


def _asked(caller: Caller) -> Asked:
    return Asked(caller, ids.new(), "POST", "demo")


def _gift(caller: Caller, merchant_id: UUID, phone: str) -> rewards.IssueReward:
    return rewards.IssueReward(
        _asked(caller), merchant_id, False, phone, 1_000, f"demo-{phone}", message="Welcome to Café Luna"
    )


async def _wallet(runtime: Runtime, caller: Caller, merchant_id: UUID, phone: str) -> UUID:
    """A customer whose phone is verified, with an active wallet; its id."""
    wish = customers.CreateUser(_asked(caller), phone=phone, phone_verified=True, first_name="Mira")
    user: Answer = await _one(runtime, caller, customers.create, wish)
    opening = enrolment.OpenWallet(_asked(caller), user.resource_id, merchant_id, False)
    wallet: Answer = await _one(runtime, caller, enrolment.open_wallet, opening)
    return wallet.resource_id


async def _one(runtime: Runtime, caller: Caller, verb: Verb[Any, Any], command: object) -> Any:
    outcome = (await run_batch(runtime, verb, caller.tenant, [command]))[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def write(file: Path, credentials: dict[str, Any]) -> None:
    """Write the credentials as JSON to a file that only its owner may read, whole or not at all. Raises OSError."""
    text = json.dumps(credentials, indent=2) + "\n"
    if file.exists() and not file.is_file():
        file.write_text(text)  # a pipe or a device is written to, not replaced
        return
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    beside.replace(file)


def show(credentials: dict[str, Any], file: Path) -> None:
    """Print the credentials, and three commands that work as they are printed."""
    say(f"demo       Harbour Support acts for Café Luna; its credentials lie in {file}\n")
    environments = ("sandbox", "production")
    rows = [(name, credentials[name]["clientId"], credentials[name]["clientSecret"]) for name in environments]
    columns([("", "Client-ID", "secret"), *rows])
    for about, command in _examples(credentials["baseUrl"], credentials["sandbox"]):
        console.print(f"\n[dim]{about}[/dim]")
        say(shlex.join(command))
    console.print("\n[dim]A gift card's whole life, step by step:[/dim]")
    say(shlex.join(("tallystick", "tour", "--data", str(file.parent))))


def _examples(base_url: str, sandbox: dict[str, str]) -> Sequence[tuple[str, Sequence[str]]]:
    api = f"{base_url}/api/v1"
    waiting = f"{api}/rewards?filter[phoneNumber]=%2B{UNKNOWN_PHONE[1:]}"
    expire = _post(sandbox, f"{api}/sandbox/clock/advance", "AdvanceClock", {"by": "P365D"})
    return (
        (
            "Give 5.00 to a customer with a wallet. Send it twice: it is given once.",
            ("curl", *_post(sandbox, f"{api}/rewards", "IssueReward", _reward(ACTIVE_PHONE, "reward-case-98765"))),
        ),
        (
            "Give it to somebody nobody knows yet: it waits to be claimed.",
            ("curl", *_post(sandbox, f"{api}/rewards", "IssueReward", _reward(UNKNOWN_PHONE, "reward-case-98766"))),
        ),
        (
            "Move the sandbox on by a year, and look: what nobody claimed has expired.",
            ("curl", *expire, "--next", *_asking(sandbox), "-g", waiting),
        ),
    )


def _reward(phone: str, key: str) -> dict[str, object]:
    return {
        "phoneNumber": phone,
        "amount": 500,
        "idempotencyKey": key,
        "reasonCode": "CX-COMPENSATION",
        "message": "Thank you for your patience!",
    }


def _post(sandbox: dict[str, str], url: str, kind: str, attributes: dict[str, object]) -> Sequence[str]:
    document = json.dumps({"data": {"type": kind, "attributes": attributes}})
    return (*_asking(sandbox), "-H", "Content-Type: application/vnd.api+json", "-d", document, url)


def _asking(sandbox: dict[str, str]) -> Sequence[str]:
    """What every request says: who asks, and that each answer ends its line."""
    who = ("-H", f"Client-ID: {sandbox['clientId']}", "-H", f"Authorization: Bearer {sandbox['clientSecret']}")
    return ("-sS", "-w", "\\n", *who)
