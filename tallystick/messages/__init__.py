"""Messages to people: one-time codes and claim notices, by e-mail or SMS, or kept in a mailbox that a sandbox reads.

Queued in the transaction of their cause, sent by a loop with no transaction open. Owns `messages`.
"""

from tallystick.messages.actions import KeysOf, deliver_due, mailbox, send
from tallystick.messages.model import Channel, Kind, Letter, Outgoing, Sent, Verdict
from tallystick.messages.senders import Sender, Senders

__all__ = [
    "Channel",
    "KeysOf",
    "Kind",
    "Letter",
    "Outgoing",
    "Sender",
    "Senders",
    "Sent",
    "Verdict",
    "deliver_due",
    "mailbox",
    "send",
]
