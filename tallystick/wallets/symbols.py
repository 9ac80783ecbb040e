"""A code as a barcode (Code 128, ISO/IEC 15417) and as a QR code (ISO/IEC 18004), each a small SVG picture.

Pictures have paths only: no text, no script, nothing from elsewhere. One unit is one module, and the quiet zone around is part of
the picture, so that it can be read off a screen as it is, at any size.
"""

import io
import itertools
from typing import Final, cast

import segno
from barcode.codex import Code128  # type: ignore[import-untyped]

BAR_HEIGHT: Final = 40
BAR_QUIET: Final = 10
QR_QUIET: Final = 4


def barcode(code: str) -> str:
    """The barcode of a code in ASCII; pairs of digits take one symbol."""
    modules = cast("str", Code128(code).build()[0])
    bars, place = [], BAR_QUIET
    for module, run in itertools.groupby(modules):
        width = len(list(run))
        if module == "1":
            bars.append(f"M{place} 0h{width}v{BAR_HEIGHT}h-{width}z")
        place += width
    return _picture(place + BAR_QUIET, BAR_HEIGHT, "".join(bars))


def qr(code: str) -> str:
    """The QR code of a code, that is read with an eighth of it spoilt."""
    symbol = segno.make_qr(code, error="m", boost_error=False)
    written = io.BytesIO()
    symbol.save(
        written,
        kind="svg",
        xmldecl=False,
        nl=False,
        svgclass=None,
        lineclass=None,
        border=QR_QUIET,
        light="#fff",
        omitsize=True,
    )
    return written.getvalue().decode("ascii")


def _picture(width: int, height: int, path: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{width}v{height}h-{width}z"/><path d="{path}"/></svg>'
    )
