"""Bugs of what has to be exact: voided refunds, who gets the last of a budget, and rehearsals that know budgets."""

from tests.planted.bug import Bug

U = "tests/activity/test_voided_refunds.py"
B = "tests/activity/test_budgets.py"
P = "tests/thresholds/test_progress.py"
R = "tests/thresholds/test_burn.py"
PR = "tests/activity/test_proofs.py"
LINK = "tallystick/activity/linking.py"
REL = "tallystick/activity/releasing.py"
AW = "tallystick/activity/awarding.py"
BU = "tallystick/thresholds/budgets.py"
ORDER = f"{U}::test_a_refund_is_voided_in_whatever_order_it_is_told"
TWIN = f"{U}::test_twins_that_void_one_refund_at_the_same_time_give_back_once"
REJ = f"{U}::test_a_rejected_void_of_a_refund_lets_that_take_back_again"
VOID = f"{U}::test_a_voided_refund_is_as_if_it_had_never_been"
SPLIT = f"{B}::test_however_split_the_same_get_what_is_left_as_one_after_the_other"
FIRST = f"{B}::test_whoever_arrived_first_gets_what_is_left"
APART = f"{B}::test_budgets_whose_periods_begin_together_are_counted_apart"
LIVE = f"{R}::test_live_and_rehearsed_give_the_same"

BUGS = (
    Bug(
        "a refund that was voided takes back all the same", LINK, "    if not by.voided:\n", "    if True:\n", (ORDER,)
    ),
    Bug(
        "a void of a refund that is there gives nothing back",
        LINK,
        '        target.returned_amount -= row["amount"]\n',
        "",
        (VOID, ORDER),
    ),
    Bug(
        "a refund is given back as often as it is voided",
        LINK,
        "        if takes(refund) and (target :=",
        "        if (target :=",
        (VOID, TWIN),
    ),
    Bug(
        "a refund is voided after it took back",
        LINK,
        'key=lambda each: each.type != "Void")',
        'key=lambda each: each.type == "Void")',
        (ORDER,),
    ),
    Bug(
        "a refund that waits forgets that it was voided",
        "tallystick/db/activity.sql",
        "a.linked_source_id,\n            a.voided\n",
        "a.linked_source_id,\n            false as voided\n",
        (ORDER,),
    ),
    Bug(
        "a refund that is linked and voided at once stays as it was",
        LINK,
        "    if linked := [touched.pop(refund_id)[0] for refund_id in voided if refund_id in links]:\n",
        "    if linked := [touched[refund_id][0] for refund_id in ()]:\n",
        (ORDER,),
    ),
    Bug(
        "a refund lets go for good when its void is rejected",
        REL,
        "        sign = linking.takes(refund) - (activity_id in took)\n",
        "        sign = min(0, linking.takes(refund) - (activity_id in took))\n",
        (REJ,),
    ),
    Bug(
        "a refund that was voided and is rejected gives back twice",
        LINK,
        "not refund.voided and refund.attribution",
        "refund.attribution",
        (REJ, VOID, TWIN),
    ),
    Bug(
        "periods that begin together are one",
        BU,
        '(budget.period or "ever", period_start',
        '("ever", period_start',
        (APART,),
    ),
    Bug(
        "whoever is older gets what is left",
        AW,
        "    if rivals := _rivals(ground, fresh):\n",
        "    if rivals := ():\n",
        (FIRST, SPLIT),
    ),
    Bug(
        "a location's budget is that of the last place of a batch",
        AW,
        "    if here := _by_location(ground, fresh):\n",
        "    if here := ():\n",
        (SPLIT,),
    ),
    Bug(
        "what comes after a part is given before it",
        AW,
        "        if amount < outcome.desired_amount and not names.isdisjoint(unsure):\n",
        "        if 0 < amount < outcome.desired_amount and not names.isdisjoint(unsure):\n",
        (
            "tests/activity/test_undo.py::test_the_rest_of_a_budget_is_given_to_the_next_where_the_first_is_refused_it",
            SPLIT,
        ),
    ),
    Bug(
        "what waits for its turn leaves its share to those behind",
        AW,
        "            amount = outcome.desired_amount  # the most that it may come to\n",
        "            amount = 0  # the most that it may come to\n",
        (SPLIT,),
    ),
    Bug(
        "marks of a batch are counted twice when it is walked through",
        "tallystick/thresholds/arriving.py",
        "marks[each.mark] = marks.get(each.mark, 0) - each.counted",
        "marks[each.mark] = marks.get(each.mark, 0)",
        (SPLIT,),
    ),
    Bug(
        "a rehearsal knows no place",
        "tallystick/db/rehearsing.sql",
        "    select r.customer_id, r.window_start, r.day, r.at, r.tie, r.location_id, t.step",
        "    select r.customer_id, r.window_start, r.day, r.at, r.tie, null::uuid, t.step",
        (LIVE,),
    ),
    Bug(
        "a rehearsed budget has one period",
        "tallystick/thresholds/burning.py",
        "        noon = datetime.combine(day, NOON,",
        "        noon = datetime.combine(date(2026, 1, 1), NOON,",
        (LIVE,),
    ),
    Bug(
        "a rehearsal loses what is behind a page",
        "tallystick/thresholds/rehearsing_store.py",
        "    if held:\n        yield held\n",
        "",
        (LIVE,),
    ),
    Bug(
        "a page of all progress repeats the last of the one before",
        "tallystick/thresholds/progress_store.py",
        "    return page, None if edge is None else until",
        "    return page, None",
        (P,),
    ),
    Bug(
        "the proof of returns knows no voided refund",
        "tallystick/cli/proofs_of_thresholds.py",
        "        and not b.voided\n",
        "",
        (VOID, PR),
    ),
    Bug(
        "a voided refund is a return that is told of",
        "tallystick/activity/abuse.py",
        " and not b.voided\n",
        "\n",
        (f"{U}::test_a_refund_that_was_voided_is_no_return_that_is_told_of",),
    ),
)
