"""Bugs in payments, in the books below them, and in quotas."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        "paid value pays debts",
        "tallystick/payments/transferring.py",
        'NETTED: Final = frozenset({"promotional", "compensation"})',
        'NETTED: Final = frozenset({"promotional", "compensation", "paid"})',
        ("tests/giftcards/test_transfer.py",),
    ),
    Bug(
        "expiry is lost in a transfer",
        "tallystick/payments/transferring.py",
        "expires_at=lot.expires_at",
        "expires_at=None",
        ("tests/giftcards/test_transfer.py",),
    ),
    Bug(
        "more is refunded than is left",
        "tallystick/payments/refunding.py",
        "    if amount > left:\n",
        "    if amount > left + 1:\n",
        ("tests/payments/test_refund.py",),
    ),
    Bug(
        "what had expired comes back without grace",
        "tallystick/payments/refunding.py",
        "expires_at = now + grace if expired else lot.expires_at",
        "expires_at = lot.expires_at",
        ("tests/payments/test_refund.py",),
    ),
    Bug(
        "captured twice",
        "tallystick/payments/capturing.py",
        '    refusal = not_open(intent, "captured", work)\n',
        "    refusal = None\n",
        ("tests/payments/test_capture.py",),
    ),
    Bug(
        "paid value is burnt first",
        "tallystick/ledger/lots.py",
        '{"promotional": 0, "compensation": 1, "refund": 2, "paid": 3}',
        '{"promotional": 3, "compensation": 2, "refund": 1, "paid": 0}',
        ("tests/payments/test_decide.py",),
    ),
    Bug(
        "expired lots are spent",
        "tallystick/ledger/lots.py",
        "lot.available > 0 and not lot.has_expired(now)",
        "lot.available > 0",
        (
            "tests/payments/test_decide.py",
            "tests/payments/test_authorize.py",
        ),
    ),
    Bug(
        "tender and discount are swapped",
        "tallystick/payments/model.py",
        "return self.lot_class in lots.TENDER",
        "return self.lot_class not in lots.TENDER",
        (
            "tests/payments/test_authorize.py",
            "tests/payments/test_capture.py",
        ),
    ),
    Bug(
        "a reversal that came first is forgotten",
        "tallystick/payments/deciding.py",
        "    if known[1]:\n",
        "    if False:\n",
        ("tests/payments/test_reverse_payment.py",),
    ),
    Bug(
        "any merchant's value is spent",
        "tallystick/payments/deciding.py",
        " or holder.merchant_id != command.merchant_id",
        "",
        (
            "tests/payments/test_errors.py",
            "tests/payments/test_sources.py",
        ),
    ),
    Bug(
        "a merchant's day is UTC's",
        "tallystick/db/spending.sql",
        "select s.subject_id, (_now at time zone m.time_zone)::date as day",
        "select s.subject_id, (_now at time zone 'UTC')::date as day",
        ("tests/payments/test_velocity.py",),
    ),
    Bug(
        "held value can be posted away",
        "tallystick/db/functions.sql",
        "lows[a] := greatest(found.floor + found.held, -most);",
        "lows[a] := greatest(found.floor, -most);",
        ("tests/ledger/test_hold.py",),
    ),
    Bug(
        "held value can be held again",
        "tallystick/db/functions.sql",
        "lefts[a] := found.balance::numeric - found.held - greatest(found.floor, -most);",
        "lefts[a] := found.balance::numeric - greatest(found.floor, -most);",
        ("tests/planted/test_gaps.py::test_what_an_earlier_work_holds_is_not_held_again",),
    ),
    Bug(
        "a quota forgets what the batch took",
        "tallystick/governance/quotas.py",
        "return self.used + self.taken + amount <= self.line.most",
        "return self.used + amount <= self.line.most",
        ("tests/governance/test_count.py",),
    ),
    Bug(
        "a quota is not checked when it is counted",
        "tallystick/governance/quotas.py",
        "        if counted < len(changed):\n",
        "        if False:\n",
        ("tests/governance/test_count.py",),
    ),
    Bug(
        "overage is cut instead of rounded",
        "tallystick/governance/model.py",
        "(2 * exact + line.per) // (2 * line.per)",
        "exact // line.per",
        ("tests/governance/test_usage.py",),
    ),
    Bug(
        "the half of a warning comes early",
        "tallystick/governance/model.py",
        "return -(-included * percent // 100)",
        "return included * percent // 100",
        (
            "tests/governance/test_warn.py",
            "tests/governance/test_usage.py",
        ),
    ),
)
