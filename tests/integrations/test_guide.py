"""The adapter that the guide shows is a whole one, and works."""

import json
import re
from typing import Any

from tallystick.integrations.model import Adapter, Ignored, Shop, Unreadable
from tallystick.integrations.signing import mac
from tests.house.places import ROOT
from tests.world import T0

GUIDE = ROOT / "docs" / "guides" / "integrations.md"
SALE = {"shop": "12", "id": "S-1", "state": "paid", "sold_at": "2026-03-02T08:59:00Z", "total": "12.50", "till": "2"}


def shown() -> Adapter:
    """The adapter of the guide."""
    (text,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(text, str(GUIDE), "exec"), made)
    adapter: Adapter = made["ADAPTER"]
    return adapter


def test_the_adapter_of_the_guide_reads_a_sale() -> None:
    adapter, shop = shown(), Shop("12", "EUR", "DE", is_sandbox=False, now=T0)

    def read(**changes: Any) -> Any:
        return adapter.read(shop, {}, json.dumps(SALE | changes).encode())

    (sale,) = read(loyalty_number="L-7")
    assert (sale.type, sale.source_id, sale.amount, sale.place) == ("Purchase", "S-1", 1250, "2")
    assert sale.identity is not None and sale.identity.value == "L-7"
    assert isinstance(read(state="open"), Ignored) and isinstance(read(shop="13"), Ignored)
    assert isinstance(read(total="much"), Unreadable) and isinstance(read(sold_at=None), Unreadable)


def test_the_adapter_of_the_guide_knows_its_signature() -> None:
    adapter, body = shown(), json.dumps(SALE).encode()
    written = mac(b"secret", body).hex()
    assert adapter.is_signed(b"secret", "", {"x-harbour-signature": written}, body)
    assert not adapter.is_signed(b"secret", "", {"x-harbour-signature": written}, body + b" ")
    assert not adapter.is_signed(b"secret", "", {}, body)
