"""A headless browser, spoken to by its own protocol: enough to open a page, ask it something, and take a picture."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPENING_SECONDS = 30.0


class Page:
    """One page."""

    def __init__(self, channel: aiohttp.ClientWebSocketResponse) -> None:
        self._channel, self._number = channel, 0

    async def open(self, url: str) -> None:
        await self._ask("Page.enable")
        await self._ask("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript is worth there."""
        told = await self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str, seconds: float = 15.0) -> None:
        """Wait until it is true there."""
        async with asyncio.timeout(seconds):
            while True:
                if await self.value(expression):
                    return
                await asyncio.sleep(0.05)

    async def picture(self, file: Path) -> None:
        told = await self._ask("Page.captureScreenshot", format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(told["data"]))

    async def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        await self._channel.send_json({"id": self._number, "method": method, "params": params})
        while True:
            told = await self._channel.receive_json(timeout=OPENING_SECONDS)
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]


@asynccontextmanager
async def browser(command: str, place: Path, size: str = "1280,900") -> AsyncIterator[Page]:
    """A page of a browser of its own, for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        command, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        f"--window-size={size}", f"--user-data-dir={place / 'browser'}", "--remote-debugging-port=0", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(OPENING_SECONDS):
            while (where := re.search(rb"ws://(\S+?)/", line := await process.stderr.readline())) is None:
                assert line, "the browser ended"
        drained = asyncio.create_task(_drain(process.stderr))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{where[1].decode()}/json/list") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as channel:
                yield Page(channel)
        drained.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass
