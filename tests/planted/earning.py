"""Bugs of activity, thresholds and files: what counts, what it is worth, what it gives once, and what is taken back."""

from tests.planted.bug import Bug

AWARD, UNDO = "tests/activity/test_award.py", "tests/activity/test_undo.py"
MERGE, ADVANCE = "tests/enrolment/test_merge_thresholds.py", "tests/thresholds/test_advance.py"

BUGS = (
    # Names, and whose it is.
    Bug(
        "a source id is the same in every source",
        "tallystick/activity/sent.py",
        'return f"{OWN}{caller.partner_id}:{kind}" if system is None else system',
        'return f"{OWN}{kind}" if system is None else system',
        ("tests/activity/test_duplicates.py::test_sources_are_apart_and_a_system_is_shared",),
    ),
    Bug(
        "a changed duplicate passes for the same",
        "tallystick/activity/landing.py",
        "return holder if plan.facts.taken[number][2] == print_ else _changed()",
        "return holder",
        ("tests/activity/test_duplicates.py::test_a_changed_resend_is_refused_and_leaves_nothing",),
    ),
    Bug(
        "what is refused keeps its name",
        "tallystick/activity/landing.py",
        "    await _drop_names(work, plan)\n",
        "",
        ("tests/activity/test_duplicates.py::test_a_refused_one_leaves_no_name",),
    ),
    Bug(
        "the name that two share is no lock",
        "tallystick/db/activity.sql",
        "                and kept.activity_id is null\n            for update\n",
        "                and kept.activity_id is null\n",
        ("tests/activity/test_duplicates.py::test_a_purchase_and_its_refunds_that_race_meet",),
    ),
    Bug(
        "an external id means the same to every partner",
        "tallystick/customers/lookup.py",
        'name.kind in ("externalId", "cardToken")',
        'name.kind == "cardToken"',
        ("tests/activity/test_unknown.py::test_another_partners_external_id_is_not_mine",),
    ),
    Bug(
        "permission is asked of nobody",
        "tallystick/activity/people.py",
        '        if policy == "all":\n',
        '        if policy != "none":\n',
        ("tests/activity/test_permission.py::test_only_of_those_who_permitted_it",),
    ),
    Bug(
        "who becomes known late is never counted",
        "tallystick/activity/changing_store.py",
        "coalesce(terms.unknown_days, 30) * interval '1 day' >= $3",
        "coalesce(terms.unknown_days, 30) * interval '1 day' > $3",
        ("tests/activity/test_unknown.py::test_it_waits_for_thirty_days",),
    ),
    # What it is worth.
    Bug(
        "a refund counts twice",
        "tallystick/activity/linking.py",
        "    target.returned_amount += by.amount\n",
        "    target.returned_amount += 2 * by.amount\n",
        ("tests/activity/test_refunds.py",),
    ),
    Bug(
        "a refund before its purchase is forgotten",
        "tallystick/activity/landing.py",
        "            plan.waits.append((source, linked, landed.id))\n",
        "",
        ("tests/activity/test_refunds.py::test_the_order_of_arrival_is_of_no_consequence",),
    ),
    Bug(
        "a rejected refund takes back all the same",
        "tallystick/activity/releasing.py",
        '            target.returned_amount += sign * row["amount"]\n',
        "",
        ("tests/activity/test_release.py::test_a_rejected_return_takes_nothing_back",),
    ),
    Bug(
        "what waits to be reconciled counts",
        "tallystick/activity/linking.py",
        '= "pending" if of.attribution == "pending" else "counted"',
        '= "counted"',
        ("tests/activity/test_release.py", "tests/imports/test_imports.py"),
    ),
    Bug(
        "what was released is released again",
        "tallystick/activity/releasing.py",
        'for activity_id in sorted(wanted) if locked[activity_id][0].attribution == "pending"]',
        "for activity_id in sorted(wanted)]",
        ("tests/planted/test_gaps_of_earning.py::test_what_was_rejected_meanwhile_is_not_released",),
    ),
    Bug(
        "a part that came back takes all of it",
        "tallystick/db/worth.sql",
        "else _share - _share * _returned_amount / _amount end",
        "else 0 end",
        (ADVANCE, AWARD),
    ),
    Bug(
        "spend with a gift card counts though it is left out",
        "tallystick/db/worth.sql",
        "(_unwanted is null or _words[place] <> all(_unwanted))",
        "(_unwanted is null or true)",
        (ADVANCE,),
    ),
    Bug(
        "a month begins in Greenwich",
        "tallystick/db/worth.sql",
        "then date_trunc(_period, _at, _zone)",
        "then date_trunc(_period, _at, 'UTC')",
        (ADVANCE,),
    ),
    Bug(
        "a window that rolls holds a day too many",
        "tallystick/db/thresholds.sql",
        "make_interval(days => w.days - 1) preceding",
        "make_interval(days => w.days) preceding",
        ("tests/thresholds/test_marks.py::test_a_window_of_three_days_holds_three_days",),
    ),
    Bug(
        "two versions count what happens as one gives way",
        "tallystick/db/thresholds.sql",
        "r.from_at <= m.occurred_at and r.until_at > m.occurred_at",
        "r.from_at <= m.occurred_at and r.until_at >= m.occurred_at",
        (f"{ADVANCE}::test_what_happens_as_one_version_gives_way_to_the_next_counts_once",),
    ),
    # What it gives.
    Bug(
        "what is left over is not carried into the next cycle",
        "tallystick/thresholds/model.py",
        "needs = cycle * self.lap + target",
        "needs = cycle * (self.lap + 1) + target",
        (f"{AWARD}::test_four_purchases_and_a_resend_give_two_rewards",),
    ),
    Bug(
        "what was kept is given again",
        "tallystick/activity/outcome_store.py",
        'return self.status != "returned"',
        'return self.status not in ("returned", "kept")',
        (AWARD, UNDO),
    ),
    Bug(
        "below what was kept everything is given again",
        "tallystick/activity/awarding.py",
        "if earlier.stands if earlier is not None else needs <= kept:",
        "if earlier is not None and earlier.stands:",
        ("tests/planted/test_gaps_of_earning.py::test_what_a_new_version_adds_up_to_what_was_kept_is_not_given",),
    ),
    Bug(
        "given again it has the first one's key",
        "tallystick/activity/giving.py",
        "{each.cycle}:{each.step}:{each.generation}",
        "{each.cycle}:{each.step}",
        (AWARD, UNDO),
    ),
    Bug(
        "a cap lets one too many through",
        "tallystick/thresholds/budgets.py",
        "if line.count is not None and count >= line.count:",
        "if line.count is not None and count > line.count:",
        (f"{AWARD}::test_caps_and_budgets_give_a_part_and_then_nothing",),
    ),
    Bug(
        "a budget has no bottom",
        "tallystick/thresholds/budgets.py",
        "desired = min(desired, max(0, line.amount - amount))",
        "desired = min(desired, line.amount) if amount < line.amount else 0",
        (f"{AWARD}::test_caps_and_budgets_give_a_part_and_then_nothing",),
    ),
    Bug(
        "a refused reward stays in the budget",
        "tallystick/activity/awarding.py",
        '        if each.status == "refused":\n            _give_back(ground, each)\n',
        "",
        (f"{UNDO}::test_a_refused_reward_takes_nothing_from_the_budget",),
    ),
    Bug(
        "what is refused leaves nothing to the next",
        "tallystick/activity/awarding.py",
        "        waiting = [each for each in waiting if each.id not in done]\n",
        "        done |= {each.id: _capped(each) for each in waiting if each.id not in done}\n        waiting = []\n",
        (f"{UNDO}::test_a_batch_gives_all_of_a_budget_whoever_is_refused",),
    ),
    # What is taken back.
    Bug(
        "what is just deserved is taken back",
        "tallystick/activity/awarding.py",
        "if each.stands and each.needs > moved.current]",
        "if each.stands and each.needs >= moved.current]",
        ("tests/planted/test_gaps_of_earning.py::test_what_is_just_deserved_stays_when_more_is_lost",),
    ),
    Bug(
        "what came back stays in the budget",
        "tallystick/activity/awarding.py",
        "            ground.spent.give_back(ground.bounds(each), amount, whole=whole)\n",
        "            pass\n",
        (f"{AWARD}::test_what_comes_back_is_in_the_budget_again",),
    ),
    Bug(
        "what expired is owed",
        "tallystick/rewards/withdrawing.py",
        " - expired.get(reward.value_account_id, 0))",
        ")",
        (f"{UNDO}::test_what_expired_in_the_wallet_is_owed_by_nobody",),
    ),
    Bug(
        "what a customer may keep is owed",
        "tallystick/rewards/withdrawing.py",
        "owed = spent if command.owing and reward.wallet_id not in erased else 0",
        "owed = spent",
        (f"{AWARD}::test_what_was_spent_of_a_reward_that_a_refund_undoes",),
    ),
    Bug(
        "more comes back of a card than was given",
        "tallystick/activity/giving.py",
        "(min(gone.returned, each.outcome.amount), gone.whole)",
        "(gone.returned, gone.whole)",
        (f"{UNDO}::test_what_was_put_on_a_card_besides_was_not_given_for_the_step",),
    ),
    Bug(
        "what was given up is tried again for ever",
        "tallystick/activity/awarding.py",
        "due_at=None if age > AGAIN_UNTIL else due",
        "due_at=due",
        (f"{UNDO}::test_what_was_refused_is_tried_again_soon_after_the_customer_moves",),
    ),
    # Users that turn out to be one.
    Bug(
        "what the merged user was given counts towards no cap",
        "tallystick/activity/joining.py",
        "    await _count(work, [each for each in ended if each.customer_id == customer_id and each.status in FIRM], into_id)\n",
        "",
        (f"{MERGE}::test_cycles_of_both_add_up",),
    ),
    Bug(
        "what both were given is never taken back",
        "tallystick/activity/joining.py",
        "    await _settle_up_to(work, stand)\n",
        "",
        (f"{MERGE}::test_what_both_were_given_stays_and_goes_first_when_progress_falls",),
    ),
    Bug(
        "what was given to both is one",
        "tallystick/activity/joining.py",
        "c not in standing or standing[c].status not in FIRM)",
        "True)",
        (f"{MERGE}::test_cycles_of_both_add_up",),
    ),
    Bug(
        "a day that both were there counts twice",
        "tallystick/thresholds/joining.py",
        "        when v.metric in ('distinctDays', 'distinctLocations') then (\n"
        "            select count(*)\n"
        "            from threshold_marks as k\n"
        "            where k.tenant_id = $1 and k.threshold_id = p.threshold_id and k.customer_id = $3\n"
        "                and k.window_start = p.window_start and k.counted > 0\n"
        "        )\n"
        "        else p.current",
        "        else p.current",
        (f"{MERGE}::test_days_that_both_were_there_count_once_and_stretches_anew",),
    ),
    # Files.
    Bug(
        "the mark of a file stays where it was",
        "tallystick/imports/carrying.py",
        "                bytes_done=chunk.records[-1].bytes_done,\n",
        "",
        ("tests/imports/test_imports.py::test_who_is_killed_leaves_a_mark_behind_what_was_done",),
    ),
    Bug(
        "two read on from one mark",
        "tallystick/imports/mark.py",
        'if held is None or (held.status, held.bytes_done) != ("running", found.bytes_done):',
        'if held is None or held.status != "running":',
        ("tests/planted/test_gaps_of_earning.py::test_who_reads_from_an_old_mark_is_stopped",),
    ),
    Bug(
        "who waits for its turn waits for ever",
        "tallystick/imports/carrying.py",
        "await asyncio.wait_for(asyncio.shield(turn), TURN_SECONDS)",
        "await asyncio.shield(turn)",
        ("tests/imports/test_overlap.py::test_who_waits_too_long_for_its_turn_lands_again",),
    ),
    Bug(
        "a file is not held against its digest",
        "tallystick/imports/actions.py",
        "if found.sha256 is None or found.sha256 == digest:",
        "if True:",
        ("tests/imports/test_upload.py::test_parts_in_another_order_are_another_file",),
    ),
    Bug(
        "who was merged is taken for active by their external id",
        "tallystick/customers/lookup.py",
        "select c.partner_id, c.external_id, c.id, c.status = 'active'",
        "select c.partner_id, c.external_id, c.id, true",
        ("tests/customers/test_sharing.py::test_who_was_merged_is_known_as_the_survivor",),
    ),
    Bug(
        "a chunk that takes something back lands before its turn",
        "tallystick/imports/carrying.py",
        "    if any(command.linked_source_id is not None for command in told):",
        "    if False:",
        ("tests/imports/test_overlap.py::test_what_takes_something_back_lands_in_its_turn",),
    ),
    Bug(
        "a byte-order mark is part of the first column",
        "tallystick/imports/lines.py",
        "return decoded.removeprefix(BOM) if record.line == 1 else decoded",
        "return decoded",
        ("tests/planted/test_gaps_of_earning.py::test_a_byte_order_mark_is_no_part_of_the_first_line",),
    ),
    Bug(
        "a quote that is never closed swallows the file",
        "tallystick/imports/cutting.py",
        "return end if self._is_one(rest[start:end]) else first",
        "return end",
        ("tests/planted/test_gaps_of_earning.py::test_a_quote_that_opens_nothing_takes_no_other_line_with_it",),
    ),
)
