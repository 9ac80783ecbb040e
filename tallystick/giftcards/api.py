"""Gift cards over HTTP."""

from tallystick.base.routes import Route
from tallystick.giftcards import batch_api, issue_api, life_api, lookup_api
from tallystick.merchants import MerchantDirectory


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """This room's routes."""
    return (
        *issue_api.routes(directory),
        *batch_api.routes(directory),
        *life_api.routes(directory),
        *lookup_api.routes(directory),
    )
