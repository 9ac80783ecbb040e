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
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.cli.ground import console

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
        credentials["baseUrl"] = base_url
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


async def _environment(runtime: Runtime, tenant: Tenant, partner_id: UUID, agreement_id: UUID) -> dict[str, str]:
    async with runtime.work(tenant) as work:
        luna = await merchants.add(work, merchants.NewMerchant("Café Luna", "USD", "US", "America/New_York"))
    async with runtime.pool.lend() as db, db.connection.transaction():
        scopes = frozenset(scope for scope in partners.SCOPES if tenant.environment == "sandbox" or "sandbox" not in scope)
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
        raise outcome if not isinstance(outcome, Refusal) else RuntimeError(f"the demo could not be made: {outcome.detail}")
    return outcome


def write(file: Path, credentials: dict[str, Any]) -> None:
    """Write the credentials as JSON to a file that only its owner may read, whole or not at all."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(credentials, out, indent=2)
        out.write("\n")
        out.flush()
        os.fsync(descriptor)
    os.replace(beside, file)


def show(credentials: dict[str, Any]) -> None:
    """Print the credentials, and commands that work as they are printed."""
    sandbox = credentials["sandbox"]
    console.print("\n[bold]demo[/bold]       partner Harbour Support, merchant Café Luna, sandbox and production")
    for name in ("sandbox", "production"):
        console.print(f"{name:10} Client-ID {credentials[name]['clientId']}")
        console.print(f"           secret    {credentials[name]['clientSecret']}")
    console.print("\nIssue a reward to a customer with a wallet; send it twice, and it is given once:\n")
    console.print(_curl(credentials["baseUrl"], sandbox, ACTIVE_PHONE, "reward-case-98765"), markup=False)
    console.print("\nTo someone nobody knows yet, it waits to be claimed:\n")
    console.print(_curl(credentials["baseUrl"], sandbox, UNKNOWN_PHONE, "reward-case-98766"), markup=False)
    console.print("\nMove the sandbox's clock by a year, and it has expired:\n")
    advance = {"data": {"type": "AdvanceClock", "attributes": {"by": "P365D"}}}
    console.print(_post(credentials["baseUrl"], sandbox, "/api/v1/sandbox/clock/advance", advance), markup=False)
    listing = f"{credentials['baseUrl']}/api/v1/rewards?filter[phoneNumber]=%2B{UNKNOWN_PHONE[1:]}"
    console.print("\n" + " ".join(["curl", "-gsS", shlex.quote(listing), *_credentials(sandbox)]), markup=False)


def _curl(base_url: str, sandbox: dict[str, str], phone: str, key: str) -> str:
    attributes = {
        "phoneNumber": phone,
        "amount": 500,
        "idempotencyKey": key,
        "reasonCode": "CX-COMPENSATION",
        "message": "Thank you for your patience!",
    }
    return _post(base_url, sandbox, "/api/v1/rewards", {"data": {"type": "IssueReward", "attributes": attributes}})


def _post(base_url: str, sandbox: dict[str, str], path: str, document: object) -> str:
    """One line that a shell runs as it is."""
    words: Sequence[str] = (
        "curl",
        "-sS",
        f"{base_url}{path}",
        *_credentials(sandbox),
        "-H",
        "'Content-Type: application/vnd.api+json'",
        "-d",
        shlex.quote(json.dumps(document)),
    )
    return " ".join(words)


def _credentials(sandbox: dict[str, str]) -> tuple[str, ...]:
    return (
        "-H",
        shlex.quote(f"Client-ID: {sandbox['clientId']}"),
        "-H",
        shlex.quote(f"Authorization: Bearer {sandbox['clientSecret']}"),
    )
