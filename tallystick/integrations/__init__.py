"""Integrations: point-of-sale and commerce systems that send their own documents, signed in their own way, taken as they come.

Owns `integration_doors`, `integrations` and `integration_faults`.
"""

from tallystick.integrations.adapters import ADAPTERS
from tallystick.integrations.door import Door
from tallystick.integrations.forgetting import forget_due
from tallystick.integrations.model import Adapter, Happened, Ignored, Shop, Told, Unreadable

__all__ = ["ADAPTERS", "Adapter", "Door", "Happened", "Ignored", "Shop", "Told", "Unreadable", "forget_due"]
