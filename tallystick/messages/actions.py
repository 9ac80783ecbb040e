"""Write a message, send what is due, read the mailbox."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.messages.store as store
from tallystick.base import ids
from tallystick.base.keys import MasterKeys, SubjectKey, Unsealable
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.messages import texts
from tallystick.messages.model import (
    Channel,
    Kind,
    Leased,
    Letter,
    Outgoing,
    Sent,
    Verdict,
    conclude,
    worth_trying,
)
from tallystick.messages.senders import Sender, Senders

KeysOf = Callable[[Work, Sequence[UUID]], Awaitable[Mapping[UUID, SubjectKey]]]
"""The keys of recipients by id; whoever was erased is absent. Given by the caller, since people stand a floor above."""

TENANTS_AT_ONCE: Final = 50
LEASED_AT_ONCE: Final = 20
LEASE: Final = timedelta(minutes=2)
PATIENCE: Final = 30.0
"""Seconds one attempt may take: far less than a lease, so that no message is sent by two at once."""


async def send(
    work: Work,
    *,
    recipient_id: UUID,
    partner_id: UUID,
    channel: Channel,
    kind: Kind,
    to: str,
    content: Mapping[str, str],
    key: SubjectKey | None = None,
) -> None:
    """The message goes out if and only if the work commits. `to` is E.164 or an e-mail address.

    `content` is what the text of this kind tells (see `texts`). Address and text are sealed under `key`, the recipient's own, or
    the house's without one. Only production sends; a sandbox's message lies in its mailbox and is never due.
    """
    message_id = ids.new()
    subject, text = texts.write(kind, content)
    letter = Letter(to, subject if channel == "email" else None, text)
    plain = msgspec.msgpack.encode(letter)
    aad = message_id.bytes
    await store.insert(
        work,
        message_id,
        partner_id,
        recipient_id,
        channel,
        kind,
        "house" if key is None else "recipient",
        work.keys.seal(plain, aad) if key is None else key.seal(plain, aad),
        work.real_now if work.tenant.environment == "production" else None,
    )


async def deliver_due(runtime: Runtime, senders: Senders, keys_of: KeysOf) -> bool:
    """One step of the loop: send what is due on the channels that have a sender; whether anything was due.

    A channel without a sender keeps its messages. A message may be sent twice when a process dies between sending and writing that
    down; its id stays the same, so that the receiving side can tell.
    """
    channels = senders.channels()
    if not channels:
        return False
    async with runtime.discovering() as db:
        tenants = await store.tenants_with_due(db, channels, runtime.clock(), TENANTS_AT_ONCE)
    did = False
    for tenant in tenants:
        did = await _deliver(runtime, tenant, senders, keys_of) or did
    return did


async def mailbox(
    work: Work, keys_of: KeysOf, *, partner_id: UUID | None, offset: int, limit: int
) -> tuple[list[Sent], int]:
    """A page of the messages that a partner caused (None: everyone of the tenant), newest first, and how many there are."""
    messages = await store.listed(work, partner_id, offset, limit)
    letters = await _open(work, messages, keys_of)
    page = [
        Sent(message.id, message.channel, message.kind, letters.get(message.id), message.created_at)
        for message in messages
    ]
    return page, await store.count(work, partner_id)


async def _deliver(runtime: Runtime, tenant: Tenant, senders: Senders, keys_of: KeysOf) -> bool:
    async with runtime.work(tenant) as work:
        leased = await store.lease(work, senders.channels(), LEASE, LEASED_AT_ONCE)
        letters = await _open(work, leased, keys_of)

    answers = await asyncio.gather(
        *(_attempt(message, letters.get(message.id), senders, runtime) for message in leased), return_exceptions=True
    )

    # A sender's mistake is raised only when the others' messages are concluded: else they would be sent again.
    mistakes = [answer for answer in answers if isinstance(answer, BaseException)]
    conclusions = [
        conclude(message, "later" if isinstance(answer, BaseException) else answer, runtime.clock())
        for message, answer in zip(leased, answers, strict=True)
    ]
    if leased:
        async with runtime.work(tenant) as work:
            await store.conclude(work, conclusions)
    if mistakes:
        raise mistakes[0]
    return bool(leased)


async def _attempt(message: Leased, letter: Letter | None, senders: Senders, runtime: Runtime) -> Verdict:
    sender: Sender | None = senders.of(message.channel)
    assert sender is not None, "only channels with a sender are leased"
    if not worth_trying(message, runtime.clock()):
        return "never"
    if letter is None:
        return "later"  # its reader was erased, or a version of the house's keys is missing here; time settles both
    try:
        async with asyncio.timeout(PATIENCE):
            return await sender.send(Outgoing(message.id, message.kind, letter), runtime.clock())
    except TimeoutError:
        return "later"


async def _open(work: Work, messages: Sequence[Leased], keys_of: KeysOf) -> dict[UUID, Letter]:
    """The letters by message id; without those that are forgotten, or whose key is gone: one such must not stop the others."""
    readers = {message.recipient_id for message in messages if message.sealed_under == "recipient"}
    keys = await keys_of(work, list(readers)) if readers else {}
    letters = {}
    for message in messages:
        key = work.keys if message.sealed_under == "house" else keys.get(message.recipient_id)
        if key is not None and message.content_sealed is not None:
            with suppress(Unsealable):
                letters[message.id] = _unseal(key, message.content_sealed, message.id)
    return letters


def _unseal(key: MasterKeys | SubjectKey, sealed: bytes, message_id: UUID) -> Letter:
    aad = message_id.bytes
    plain = key.open_sealed(sealed, aad) if isinstance(key, MasterKeys) else key.open(sealed, aad)
    return msgspec.msgpack.decode(plain, type=Letter)
