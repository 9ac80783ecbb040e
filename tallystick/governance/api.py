"""Quotas over HTTP: what a partner has used of them."""

from tallystick.base.routes import Route

ROUTES: tuple[Route, ...] = ()
