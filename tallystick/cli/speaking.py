"""Who a command is to a running house: by a file of credentials, by the environment, or as the demo of a data directory."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import typer

from tallystick.cli import demo
from tallystick.cli.ground import directory, fail, read_settings
from tallystick.cli.operating import Environment

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials", help="A file as `up --demo --credentials` writes it.", envvar="TALLYSTICK_CREDENTIALS"
    ),
]
UrlOption = Annotated[str | None, typer.Option("--url", help="Where the house answers, if not where the file says.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="The data directory of a running `up --demo`.")]
WhichOption = Annotated[Environment, typer.Option("--environment", "-e", help="Which of the file's credentials.")]
JSON_API: Final = "application/vnd.api+json"


@dataclass(frozen=True, slots=True)
class Access:
    """Where the house answers, and the credential to speak to it with."""

    base_url: str
    client_id: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Client-ID": self.client_id, "Authorization": f"Bearer {self.secret}"}


def access(file: Path | None, url: str | None, data: Path | None, environment: Environment) -> Access:
    """Of the file that is named; else CLIENT_ID and CLIENT_SECRET, with an address; else of the demo. Fails in a sentence."""
    client_id, secret = os.environ.get("CLIENT_ID"), os.environ.get("CLIENT_SECRET")
    if file is None and data is None and client_id and secret:
        if url is None:
            raise fail("CLIENT_ID and CLIENT_SECRET are of a house somewhere: name its address with --url.")
        return Access(url.rstrip("/"), client_id, secret)
    place = file or directory(read_settings(), data) / demo.FILE
    try:
        kept = json.loads(place.read_text())
        named = kept[environment]
        return Access(str(url or kept["baseUrl"]).rstrip("/"), named["clientId"], named["clientSecret"])
    except FileNotFoundError:
        raise fail(
            f"There are no credentials in {place}. Start `tallystick up --demo`, or name --credentials FILE, or set CLIENT_ID "
            "and CLIENT_SECRET and name --url."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise fail(f"{place} is no file of credentials ({type(error).__name__}).") from None


async def why(answer: aiohttp.ClientResponse) -> str:
    """What an answer that is no 2xx says: its status and its reasons."""
    try:
        document: Any = await answer.json(content_type=None)
        reasons = " ".join(each["detail"] for each in document["errors"])
    except (ValueError, KeyError, TypeError):
        reasons = "It is no answer of Tallystick."
    return f"{answer.status}: {reasons}"


async def post(session: aiohttp.ClientSession, to: Access, path: str, kind: str, attributes: Mapping[str, Any]) -> Any:
    """The resource that is answered; a sentence, and the end, where it is refused."""
    document = {"data": {"type": kind, "attributes": dict(attributes)}}
    headers = {**to.headers, "Content-Type": JSON_API}
    try:
        async with session.post(f"{to.base_url}/api/v1/{path}", json=document, headers=headers) as answer:
            if answer.status >= 300:
                raise fail(f"The house answered {await why(answer)}")
            return (await answer.json(content_type=None))["data"]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise fail(f"Nothing answers at {to.base_url} ({type(error).__name__}).") from None
