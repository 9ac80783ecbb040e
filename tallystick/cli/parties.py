"""What an operator does in a shell: programmes, partners, agreements and merchants. `--json` everywhere."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import typer

from tallystick import merchants, partners
from tallystick.base.db import Db
from tallystick.base.errors import NotFound, Refusal
from tallystick.base.work import DataPolicy, Policy
from tallystick.cli import credentials
from tallystick.cli.ground import Ground, Told, show
from tallystick.cli.operating import (
    DataOption,
    EnvironmentOption,
    JsonOption,
    ProgrammeOption,
    agreement_told,
    directory,
    group,
    in_house,
    instant,
    merchant_told,
    partner_told,
    programme_told,
    tenant_of,
    uuid,
)

programmes = group("Owners of books: a brand or merchant group, with a sandbox and a production.")
partner_commands = group("Who calls: support platforms, points of sale, brands with their own rewards engine.")
agreements = group("What brings a partner to a programme.")
merchant_commands = group("Where value is spent, and how its rewards are funded.")

APPS: Mapping[str, typer.Typer] = {
    "programmes": programmes,
    "partners": partner_commands,
    "agreements": agreements,
    "merchants": merchant_commands,
    "credentials": credentials.app,
}


@programmes.command("add")
def add_programme(name: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Add a programme; it gets a sandbox and a production."""

    async def act(ground: Ground, db: Db) -> Told:
        return programme_told(await partners.add_programme(db, name, ground.runtime.clock()))

    show(directory(data, act), as_json)


@programmes.command("list")
def list_programmes(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List programmes."""

    async def act(_ground: Ground, db: Db) -> Sequence[Told]:
        return [programme_told(each) for each in await partners.list_programmes(db)]

    show(directory(data, act), as_json)


@partner_commands.command("add")
def add_partner(name: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Add a partner."""

    async def act(ground: Ground, db: Db) -> Told:
        return partner_told(await partners.add_partner(db, name, ground.runtime.clock()))

    show(directory(data, act), as_json)


@partner_commands.command("list")
def list_partners(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List partners."""

    async def act(_ground: Ground, db: Db) -> Sequence[Told]:
        return [partner_told(each) for each in await partners.list_partners(db)]

    show(directory(data, act), as_json)


@partner_commands.command("suspend")
def suspend_partner(partner: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let none of a partner's credentials in; everywhere within 30 seconds."""

    async def act(_ground: Ground, db: Db) -> Told:
        return partner_told(await partners.suspend_partner(db, uuid(partner)))

    show(directory(data, act), as_json)


@partner_commands.command("resume")
def resume_partner(partner: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let a suspended partner in again."""

    async def act(_ground: Ground, db: Db) -> Told:
        return partner_told(await partners.resume_partner(db, uuid(partner)))

    show(directory(data, act), as_json)


@agreements.command("add")
def agree(
    partner: Annotated[str, typer.Option(help="The partner's id.")],
    programme: ProgrammeOption,
    visibility: Annotated[
        Literal["own", "programme"], typer.Option(help="Whether it sees only what it made, or the programme's all.")
    ] = "own",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a partner to a programme."""

    async def act(ground: Ground, db: Db) -> Told:
        made = await partners.agree(db, uuid(partner), uuid(programme), visibility, ground.runtime.clock())
        return agreement_told(made)

    show(directory(data, act), as_json)


@agreements.command("list")
def list_agreements(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List agreements."""

    async def act(_ground: Ground, db: Db) -> Sequence[Told]:
        return [agreement_told(each) for each in await partners.list_agreements(db)]

    show(directory(data, act), as_json)


@agreements.command("data-policy")
def set_data_policy(
    agreement: str,
    transactions: Annotated[Policy, typer.Option(help="Whose transactions the partner may send.")] = "all",
    visits: Annotated[Policy, typer.Option(help="Whose visits.")] = "all",
    orders: Annotated[Policy, typer.Option(help="Whose orders.")] = "all",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whose data a partner may send: of all, of who consented, or of none; everywhere within 30 seconds."""

    async def act(_ground: Ground, db: Db) -> Told:
        policy = DataPolicy(transactions, visits, orders)
        return agreement_told(await partners.set_data_policy(db, uuid(agreement), policy))

    show(directory(data, act), as_json)


@agreements.command("reviewed")
def review_agreement(
    agreement: str,
    due: Annotated[str | None, typer.Option(help="When the next review is due, such as 2027-06-30T00:00:00Z.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that an agreement was reviewed: the next review is due in a year, and its partner is told before."""

    async def act(ground: Ground, db: Db) -> Told:
        due_at = None if due is None else instant(due)
        return agreement_told(await partners.review(db, uuid(agreement), ground.runtime.clock(), due_at))

    show(directory(data, act), as_json)


@agreements.command("end")
def end_agreement(agreement: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """End an agreement: its credentials are not let in any more."""

    async def act(_ground: Ground, db: Db) -> Told:
        return agreement_told(await partners.end_agreement(db, uuid(agreement)))

    show(directory(data, act), as_json)


@merchant_commands.command("add")
def add_merchant(
    name: str,
    programme: ProgrammeOption,
    currency: Annotated[str, typer.Option(help="ISO 4217, such as EUR.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1, such as DE; national phone numbers are read there.")],
    time_zone: Annotated[str, typer.Option(help="IANA, such as Europe/Berlin.")],
    environment: EnvironmentOption = "sandbox",
    funding: Annotated[
        Literal["invoiced", "prefunded"], typer.Option(help="How its rewards are paid for.")
    ] = "invoiced",
    credit_limit: Annotated[
        int | None, typer.Option(help="What an invoiced merchant may owe, in minor units; without, no bound.")
    ] = None,
    claim_days: Annotated[int, typer.Option(help="How long a reward waits to be claimed.")] = 90,
    pre_issuing: Annotated[bool, typer.Option(help="Whether rewards wait for people without a wallet.")] = True,
    stacking: Annotated[bool, typer.Option(help="Whether more than one may wait for a person.")] = False,
    reward_maximum: Annotated[int | None, typer.Option(help="The most one reward may be, in minor units.")] = None,
    phone_day_maximum: Annotated[
        int | None, typer.Option(help="The most for one phone in a day, in minor units.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a merchant to a programme's sandbox or production."""
    new = merchants.NewMerchant(
        name,
        currency,
        country,
        time_zone,
        claim_days=claim_days,
        pre_issuing=pre_issuing,
        stacking=stacking,
        funding_mode=funding,
        credit_limit=credit_limit,
        reward_maximum=reward_maximum,
        phone_day_maximum=phone_day_maximum,
    )

    async def act(ground: Ground) -> Told:
        async with ground.runtime.work(await tenant_of(ground, programme, environment)) as work:
            return merchant_told(await merchants.add(work, new))

    show(in_house(data, act), as_json)


@merchant_commands.command("list")
def list_merchants(
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a programme's merchants."""

    async def act(ground: Ground) -> Sequence[Told]:
        async with ground.runtime.reading(await tenant_of(ground, programme, environment)) as work:
            page, _ = await merchants.listed(work, None, 0, 10_000)
            return [merchant_told(each) for each in page]

    show(in_house(data, act), as_json)


@merchant_commands.command("top-up")
def top_up(
    merchant: str,
    amount: Annotated[int, typer.Option(help="Minor units that were paid in.", min=1)],
    reference: Annotated[str, typer.Option(help="The payment's own reference; the same one is booked once.")],
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Book what a prefunded merchant has paid in."""

    async def act(ground: Ground) -> Told:
        async with ground.runtime.work(await tenant_of(ground, programme, environment)) as work:
            booked = await merchants.top_up(work, uuid(merchant), amount, reference)
            if isinstance(booked, Refusal):
                raise booked
            return {"merchantId": merchant, "amount": amount, "journalId": str(booked)}

    show(in_house(data, act), as_json)


@merchant_commands.command("funding")
def funding_of(
    merchant: str,
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a merchant's rewards are funded, and what is left."""

    async def act(ground: Ground) -> Told:
        async with ground.runtime.reading(await tenant_of(ground, programme, environment)) as work:
            found = await merchants.funding(work, uuid(merchant))
            if found is None:
                raise NotFound("There is no such merchant.")
            return {"mode": found.mode, "currency": found.currency, "available": found.available}

    show(in_house(data, act), as_json)
