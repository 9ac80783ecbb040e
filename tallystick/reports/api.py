"""Reports over HTTP."""

from tallystick.base.routes import Route
from tallystick.merchants import MerchantDirectory


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """This room's routes."""
    return ()
