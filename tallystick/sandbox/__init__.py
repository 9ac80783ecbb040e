"""The sandbox: a clock that partners may move forward, and the mailbox of messages that went nowhere else.

Production has neither. It owns the clock's column in `tenants`.
"""

from tallystick.sandbox.clockwork import DueWork, advance

__all__ = ["DueWork", "advance"]
