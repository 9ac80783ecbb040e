"""`trigger`: make a sample event happen in the sandbox, and see your own system hear it."""

import asyncio
import difflib
from typing import Annotated, Any

import aiohttp
import typer

from tallystick import events
from tallystick.cli.ground import columns, fail, say, say_json
from tallystick.cli.operating import JsonOption
from tallystick.cli.speaking import Access, DataOption, FileOption, UrlOption, access, post


def trigger(
    topic: Annotated[str | None, typer.Argument(help="The topic, such as reward.credited.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Show the topics that there are.")] = False,
    credentials: FileOption = None,
    url: UrlOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a sample event of a topic happen in the sandbox: in the feed, in streams and at webhooks, marked as a sample."""
    if show_list:
        _show_topics(as_json)
        return
    known = {each.name for each in events.TOPICS}
    if topic is None:
        raise fail("Name a topic, such as reward.credited. `tallystick trigger --list` shows them.")
    if topic not in known:
        close = difflib.get_close_matches(topic, known, n=1)
        raise fail(
            f"There is no topic {topic}{f'; did you mean {close[0]}?' if close else '.'} "
            "`tallystick trigger --list` shows them."
        )
    made = asyncio.run(_trigger(access(credentials, url, data, "sandbox"), topic))
    if as_json:
        say_json({"id": made["id"], **made["attributes"]})
    else:
        told = made["attributes"]
        say(f"{told['topic']} happened to {told['subjectType']} {told['subjectId']}, a sample")


def _show_topics(as_json: bool) -> None:
    told = [{"topic": each.name, "tells": each.summary} for each in events.TOPICS]
    if as_json:
        say_json(told)
    else:
        columns([tuple(each.values()) for each in told])


async def _trigger(to: Access, topic: str) -> Any:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
        return await post(session, to, "sandbox/simulate/event", "SimulateEvent", {"topic": topic})
