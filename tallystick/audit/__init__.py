"""Audit: who asked for what and how it ended, a row for every request, by an allow-list of columns.

Accepted writes are noted in their own transaction; everything else goes through a bounded buffer. Owns `request_log` and
`unknown_requests`.
"""

from tallystick.audit.notes import note, write_requests
from tallystick.audit.request_log import RequestLog

__all__ = ["RequestLog", "note", "write_requests"]
