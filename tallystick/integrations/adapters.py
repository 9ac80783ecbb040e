"""The adapters there are. A new one is a file beside this, and a line here."""

from collections.abc import Mapping
from typing import Final

from tallystick.integrations import lightspeed, shopify, square
from tallystick.integrations.model import Adapter

ADAPTERS: Final[Mapping[str, Adapter]] = {
    adapter.system: adapter
    for adapter in (
        square.ADAPTER,
        shopify.ADAPTER,
        lightspeed.ADAPTER,
    )
}
