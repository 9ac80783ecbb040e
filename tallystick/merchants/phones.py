"""Reading a phone as a partner writes it: E.164, or as dialled in the country of the one merchant that the request is for."""

from uuid import UUID

from tallystick.base import phone
from tallystick.base.errors import InvalidRequest, Refusal, Source
from tallystick.base.work import Caller
from tallystick.merchants.directory import MerchantDirectory


async def e164(
    directory: MerchantDirectory,
    caller: Caller,
    text: str,
    source: Source,
    faults: list[Refusal],
    *,
    merchant_id: UUID | None = None,
) -> str | None:
    """The phone in E.164; where it cannot be one, None and a fault at `source`. `merchant_id`: the one the request names."""
    try:
        return phone.normalise(text, None if text.startswith("+") else await _country(directory, caller, merchant_id))
    except phone.ImpossiblePhone as impossible:
        faults.append(InvalidRequest(str(impossible), source=source))
        return None


async def _country(directory: MerchantDirectory, caller: Caller, merchant_id: UUID | None) -> str | None:
    """Where national numbers are dialled; None where the request could be for several merchants, or for none."""
    try:
        return (await directory.resolve(caller, merchant_id)).country
    except InvalidRequest:
        return None
