"""Events: what happened, written once in the transaction of the change, numbered in commit order.

One row serves the feed, webhooks and the console. Owns `events` and `tenant_heads`.
"""

from tallystick.events.actions import number, record
from tallystick.events.model import TOPICS, Event, Topic

__all__ = ["TOPICS", "Event", "Topic", "number", "record"]
