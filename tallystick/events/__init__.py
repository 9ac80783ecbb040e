"""Events: what happened, written once in the transaction of the change, numbered in commit order.

One row serves the feed, webhooks and the console. Owns `events`, `tenant_heads` and
`event_sequences`.
"""

from tallystick.events.actions import find, number, record
from tallystick.events.catalogue import Catalogue
from tallystick.events.model import PING, SENT, TOPICS, Event, Topic
from tallystick.events.streaming import Streams

__all__ = ["PING", "SENT", "TOPICS", "Catalogue", "Event", "Streams", "Topic", "find", "number", "record"]
