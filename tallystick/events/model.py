"""An event as a value, and the catalogue of topics."""

from dataclasses import dataclass
from uuid import UUID

import msgspec


@dataclass(frozen=True, slots=True)
class Topic:
    """A kind of event: its name (`reward.credited`), what it tells, and the type of resource its document holds."""

    name: str
    summary: str
    subject_type: str


class Event(msgspec.Struct, frozen=True):
    """Something that happened to one subject. The document holds no personal attribute and no free text."""

    topic: str
    subject_type: str
    subject_id: UUID
    sequence: int
    """Gapless per subject from 1: the subject's own version, counted under its lock."""
    document: bytes
    """The subject as a JSON:API resource object, as it is after the change."""
    partner_id: UUID | None = None
    merchant_id: UUID | None = None
    request_id: UUID | None = None


TOPICS = (
    Topic("reward.credited", "A reward was credited to the recipient's wallet.", "Reward"),
    Topic("reward.pre_issued", "A reward waits until its recipient has an active wallet.", "Reward"),
    Topic("reward.updated", "A reward that waits was changed.", "Reward"),
    Topic("reward.claimed", "A wallet claimed a reward that waited.", "Reward"),
    Topic("reward.expiring", "A reward that waits expires soon.", "Reward"),
    Topic("reward.expired", "A reward was not claimed in time; its funding returned.", "Reward"),
    Topic("reward.cancelled", "A reward that waited was cancelled; its funding returned.", "Reward"),
    Topic("reward.reversed", "A credited reward was taken back, in whole or in part.", "Reward"),
    Topic("user.erased", "A person was erased; forget them, too.", "UserErasure"),
    Topic("wallet.created", "A wallet was opened.", "Wallet"),
    Topic("wallet.suspended", "A wallet was suspended.", "Wallet"),
    Topic("wallet.resumed", "A suspended wallet is in use again.", "Wallet"),
    Topic("wallet.closed", "A wallet was closed.", "Wallet"),
    Topic("wallet.value_expiring", "Value of a wallet expires soon.", "Wallet"),
    Topic("wallet.value_expired", "Value of a wallet expired; it can be spent no more.", "Wallet"),
    Topic("wallet.merged", "A wallet's value moved to the wallet of the same person.", "Wallet"),
    Topic("wallet.unmerged", "A merger was undone; what is left of the value moved back.", "Wallet"),
    Topic("redemption.authorized", "A payment holds value.", "PaymentIntent"),
    Topic("redemption.captured", "A payment took value.", "PaymentIntent"),
    Topic("redemption.cancelled", "A payment was cancelled; what it held is free.", "PaymentIntent"),
    Topic("redemption.expired", "A payment was not captured in time; what it held is free.", "PaymentIntent"),
    Topic("redemption.refunded", "A payment was refunded, in whole or in part.", "PaymentIntent"),
    Topic("gift_card.issued", "A gift card was issued.", "GiftCard"),
    Topic("gift_card.activated", "A gift card can be spent from now on.", "GiftCard"),
    Topic("gift_card.loaded", "Value was added to a gift card.", "GiftCard"),
    Topic("gift_card.redeemed", "Value of a gift card was spent.", "GiftCard"),
    Topic("gift_card.refunded", "Value came back to a gift card, or its purchase was taken back.", "GiftCard"),
    Topic("gift_card.frozen", "A gift card is frozen: nothing comes in, nothing goes out.", "GiftCard"),
    Topic("gift_card.unfrozen", "A frozen gift card is in use again.", "GiftCard"),
    Topic("gift_card.adjusted", "The balance of a gift card was corrected.", "GiftCard"),
    Topic("gift_card.replaced", "A gift card was replaced by another; its number is dead.", "GiftCard"),
    Topic("gift_card.transferred", "Value of a gift card moved to a wallet.", "GiftCard"),
    Topic("gift_card.cashed_out", "The rest of a gift card was paid out.", "GiftCard"),
    Topic("gift_card.expired", "A gift card expired.", "GiftCard"),
    Topic("gift_card.cancelled", "A gift card was cancelled.", "GiftCard"),
    Topic("gift_card.depleted", "Nothing is left on a gift card.", "GiftCard"),
    Topic("gift_card.delivered", "A gift card was sent to its recipient.", "GiftCard"),
    Topic("gift_card.charged_back", "The purchase of a gift card was charged back; the card is frozen.", "GiftCard"),
    Topic("gift_card.batch_completed", "Every card of a batch was made.", "GiftCardBatch"),
    Topic(
        "gift_card.canary_used", "Somebody tried a code that was never sold: a list of codes has leaked.", "CardAlert"
    ),
    Topic(
        "gift_card.lookups_blocked",
        "Too many lookups of a credential found nothing; they are refused for a while.",
        "CardAlert",
    ),
    Topic("transaction.accepted", "A transaction, visit or order was accepted.", "Activity"),
    Topic(
        "transaction.rejected",
        "An activity that waited to be reconciled was rejected; it counts for nothing.",
        "Activity",
    ),
    Topic("threshold.scheduled", "A version of a threshold rule comes into force at an instant to come.", "Threshold"),
    Topic("threshold.published", "A version of a threshold rule is in force.", "Threshold"),
    Topic("threshold.paused", "A threshold rule counts nothing until it is resumed.", "Threshold"),
    Topic("threshold.resumed", "A paused threshold rule counts again.", "Threshold"),
    Topic("threshold.completed", "A threshold rule ended for good.", "Threshold"),
    Topic("threshold.progress_updated", "A customer came nearer to a threshold.", "ThresholdProgress"),
    Topic(
        "threshold.milestone_reached", "A customer reached a step of a threshold, not its last.", "ThresholdProgress"
    ),
    Topic("threshold.reached", "A customer reached a threshold.", "ThresholdProgress"),
    Topic("threshold.progress_reversed", "A return took a customer's progress back.", "ThresholdProgress"),
    Topic("threshold.reset", "A customer begins a new cycle of a threshold.", "ThresholdProgress"),
    Topic("customer.returns_suspicious", "A customer returns what they bought more often than is usual.", "User"),
    Topic("import.completed", "A file was read to its end.", "Import"),
    Topic("import.failed", "A file could not be read.", "Import"),
    Topic("location.synced", "A place was added or changed.", "Location"),
    Topic("quota.warning", "80 or 100 percent of a quota are used.", "Usage"),
    Topic("quota.exceeded", "A quota is used up: what goes beyond is refused, or charged.", "Usage"),
    Topic("period.closed", "A period of a merchant's books was closed.", "Period"),
    Topic("settlement.report_ready", "A settlement report can be downloaded.", "Report"),
    Topic("reconciliation.report_ready", "A report can be downloaded.", "Report"),
    Topic("reconciliation.mismatch_found", "A partner's own totals differ from a report.", "Reconciliation"),
    Topic("merchant.updated", "A merchant's settings were changed.", "Merchant"),
    Topic("credential.rotated", "A credential got a new secret.", "Credential"),
    Topic("credential.expiring", "A secret of a credential ends within 7 days, or within one.", "Credential"),
    Topic("access.review_due", "An agreement is to be reviewed within 30 days, or now.", "Agreement"),
    Topic("webhook.failing", "An endpoint fails; it is disabled if that goes on.", "Webhook"),
    Topic("webhook.disabled", "An endpoint is disabled; what happens meanwhile is kept for it.", "Webhook"),
)
"""Every topic there is; an event of another is refused where it is recorded."""

TOPIC_NAMES = frozenset(topic.name for topic in TOPICS)

PING = Topic("webhook.ping", "A ping that you asked for: nothing happened, and the feed does not have it.", "Webhook")
SENT = (*TOPICS, PING)
"""Every topic that webhooks are sent."""
