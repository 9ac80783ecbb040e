"""What makes an activity impossible, whoever sends it, and the sums of a receipt. Pure."""

from datetime import datetime

from tallystick.activity.model import AHEAD, AMOUNT_MAX, EARLIEST, RecordActivity
from tallystick.base.errors import InvalidRequest, attribute


def refuse(command: RecordActivity, now: datetime) -> InvalidRequest | None:
    """Why this cannot have happened: by its instant, its amounts, or what it says it takes back."""
    if not EARLIEST <= command.occurred_at <= now + AHEAD:
        return InvalidRequest(
            "It happened after 1970, and at most five minutes ahead of our clock.", source=attribute("source/createdAt")
        )
    if not 0 <= command.amount <= AMOUNT_MAX:
        return InvalidRequest(f"A whole number from 0 to {AMOUNT_MAX} is wanted.", source=attribute("amount"))
    if not 0 <= command.tax <= command.amount:
        return InvalidRequest("The tax is a part of the amount.", source=attribute("tax"))
    if command.linked_source_id == command.source_id:
        return InvalidRequest("Nothing takes itself back.", source=attribute("linkedExternalTransactionId"))
    return None


def sums(command: RecordActivity) -> list[InvalidRequest]:
    """What of a receipt does not add up: its lines and its payments each are its amount, where there are any."""
    faults: list[InvalidRequest] = []
    for name, lines in (("items", command.items), ("payments", command.payments)):
        total = sum(line.amount for line in lines)
        if lines and total != command.amount:
            detail = f"The amounts of {name} add up to {total}, and the amount is {command.amount}."
            faults.append(InvalidRequest(detail, source=attribute(name)))
    taxed = sum(item.tax for item in command.items)
    if command.items and taxed != command.tax:
        detail = f"The taxes of items add up to {taxed}, and the tax is {command.tax}."
        faults.append(InvalidRequest(detail, source=attribute("tax")))
    return faults
