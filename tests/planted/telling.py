"""Bugs of webhooks and of erasure: who is told, what proves it, where it may be sent, what follows, and who is forgotten."""

from tests.planted.bug import Bug

HOOKS, WEBHOOKS = "tests/webhooks", "tallystick/webhooks"
ERASE = "tests/privacy/test_erase.py"

BUGS = (
    # What proves it.
    Bug(
        "the instant is not signed",
        f"{WEBHOOKS}/signing.py",
        'content = b"%s.%d.%s" % (message_id.encode(), seconds, body)',
        'content = b"%s.%d.%s" % (message_id.encode(), 0, body)',
        (f"{HOOKS}/test_signing.py::test_the_published_vectors_come_out",),
    ),
    Bug(
        "only the newest secret signs",
        f"{WEBHOOKS}/signing.py",
        "for secret in signer.symmetric)",
        "for secret in signer.symmetric[:1])",
        (f"{HOOKS}/test_signing.py::test_every_secret_that_is_alive_signs_the_newest_first",),
    ),
    Bug(
        "a secret signs behind its end",
        f"{WEBHOOKS}/store.py",
        "and (ends_at is null or ends_at > $3)",
        "and ($3::timestamptz is not null)",
        (f"{HOOKS}/test_endpoints.py::test_a_rotated_secret_signs_beside_the_new_one_until_its_end",),
    ),
    # Where it may be sent.
    Bug(
        "only the first answer of a name is looked at",
        f"{WEBHOOKS}/guard.py",
        "for _, _, _, _, sockaddr in found:\n            self.check(sockaddr)",
        "for _, _, _, _, sockaddr in found[:1]:\n            self.check(sockaddr)",
        (f"{HOOKS}/test_guard.py::test_a_name_with_any_denied_answer_is_refused",),
    ),
    Bug(
        "what is dialled is not looked at again",
        f"{WEBHOOKS}/guard.py",
        "family, kind, proto, _, sockaddr = about_to_dial\n        self.check(sockaddr)",
        "family, kind, proto, _, sockaddr = about_to_dial",
        (f"{HOOKS}/test_guard.py",),
    ),
    Bug(
        "a private address may be written as a number",
        f"{WEBHOOKS}/target.py",
        "if literal is not None and is_denied(literal, rules.allowed):",
        "if literal is not None and literal.is_loopback and is_denied(literal, rules.allowed):",
        (f"{HOOKS}/test_target.py",),
    ),
    Bug(
        "a redirect is followed",
        f"{WEBHOOKS}/sending.py",
        "headers=sent, allow_redirects=False)",
        "headers=sent, allow_redirects=True)",
        (f"{HOOKS}/test_sending.py::test_a_redirect_is_a_failure_and_is_never_followed",),
    ),
    Bug(
        "answers are decompressed",
        f"{WEBHOOKS}/sending.py",
        "auto_decompress=False",
        "auto_decompress=True",
        (f"{HOOKS}/test_sending.py::test_nothing_is_decompressed",),
    ),
    # What follows from an answer.
    Bug(
        "any answer is a success",
        f"{WEBHOOKS}/sending.py",
        "if heard.status is None or not 200 <= heard.status < 300:",
        "if heard.status is None or heard.status >= 500:",
        (f"{HOOKS}/test_sending.py::test_a_redirect_is_a_failure_and_is_never_followed",),
    ),
    Bug(
        "a receiver may put an attempt off for ever",
        f"{WEBHOOKS}/schedule.py",
        "wait = slot if asked is None else min(max(slot, asked), max(slot, WAIT_MAX))",
        "wait = slot if asked is None else max(slot, asked)",
        (f"{HOOKS}/test_schedule.py",),
    ),
    Bug(
        "410 is an answer like any other",
        f"{WEBHOOKS}/schedule.py",
        'gone: Reason | None = "gone" if answer.status_code == 410 else None',
        "gone: Reason | None = None",
        (f"{HOOKS}/test_schedule.py::test_a_receiver_may_end_a_message_or_all_of_them",),
    ),
    Bug(
        "a delivery is given up after a day",
        f"{WEBHOOKS}/schedule.py",
        "tries > len(DELAYS)",
        "tries > len(DELAYS) - 2",
        (f"{HOOKS}/test_schedule.py", f"{HOOKS}/test_delivering.py"),
    ),
    Bug(
        "who lost a lease writes all the same",
        f"{WEBHOOKS}/delivery_store.py",
        "where d.tenant_id = $1 and d.webhook_id = e.webhook_id and d.position = e.position and d.lease = e.lease",
        "where d.tenant_id = $1 and d.webhook_id = e.webhook_id and d.position = e.position",
        (f"{HOOKS}/test_delivering.py::test_what_somebody_else_took_meanwhile_is_theirs_and_the_late_attempt_is_written_beside_it",),
    ),
    Bug(
        "order is kept by position alone",
        f"{WEBHOOKS}/delivery_store.py",
        "and earlier.subject_id = d.subject_id and earlier.position < d.position",
        "and earlier.subject_id = d.subject_id and earlier.position > d.position",
        (f"{HOOKS}/test_delivering.py::test_in_order_nothing_overtakes_what_is_about_the_same_subject",),
    ),
    # Who is told.
    Bug(
        "what an endpoint that is off would have got is gone",
        f"{WEBHOOKS}/fanning_store.py",
        "join webhooks as w on w.tenant_id = $1 and w.status <> 'deleted' and e.position > w.since_position",
        "join webhooks as w on w.tenant_id = $1 and w.status = 'enabled' and e.position > w.since_position",
        (f"{HOOKS}/test_story.py::test_what_happened_while_it_was_off_is_kept_and_replayed",),
    ),
    Bug(
        "topics are not asked for",
        f"{WEBHOOKS}/matching.py",
        "(w.topics = array['*'] or e.topic = any(w.topics))",
        "(w.topics is not null)",
        (f"{HOOKS}/test_story.py::test_an_endpoint_hears_of_its_topics_only",),
    ),
    Bug(
        "a stream begins once more with the last event",
        "tallystick/events/streaming.py",
        "self._position = wanted.after\n",
        "self._position = max(0, wanted.after - 1)\n",
        ("tests/events/test_stream.py::test_who_comes_back_goes_on_behind_the_last_event_it_names",),
    ),
    # Who is forgotten.
    Bug(
        "the key of an erased person stays",
        "tallystick/customers/erasing.py",
        "key_wrapped = $3, personal_sealed = null",
        "key_wrapped = coalesce(key_wrapped, $3), personal_sealed = null",
        (f"{ERASE}::test_nothing_is_known_of_a_person_who_was_erased",),
    ),
    Bug(
        "the phone of an erased person finds them",
        "tallystick/customers/erasing.py",
        "update recipients set phone_index = $3, key_wrapped = $4",
        "update recipients set phone_index = coalesce(phone_index, $3), key_wrapped = $4",
        (f"{ERASE}::test_nothing_is_known_of_a_person_who_was_erased", f"{ERASE}::test_the_same_phone_is_somebody_new_afterwards"),
    ),
    Bug(
        "a phone of two is erased with one of them",
        "tallystick/customers/erasing.py",
        "return sorted(wanted - shared)",
        "return sorted(wanted)",
        (f"{ERASE}::test_a_phone_that_somebody_else_has_too_stays_theirs",),
    ),
    Bug(
        "who is erased takes held value with them",
        "tallystick/privacy/erasing.py",
        "    if any(balance.held for balance in balances):",
        "    if False:",
        ("tests/privacy/test_races.py::test_whoever_has_value_held_stays_until_the_hold_is_gone",),
    ),
    Bug(
        "who was merged meanwhile is left behind by an erasure",
        "tallystick/privacy/erasing.py",
        "    people = list((await customers.hold(work, await of_customers.family(work, person.id))).values())",
        "    people = [person]",
        ("tests/privacy/test_races.py::test_who_is_merged_into_them_meanwhile_is_erased_with_them_or_stays_apart",),
    ),
    Bug(
        "value goes down with its holder unasked",
        "tallystick/privacy/erasing.py",
        "if not forfeit and any(balance.available for balance in balances):",
        "if forfeit and any(balance.owed for balance in balances):",
        (f"{ERASE}::test_whoever_has_value_stays_until_it_may_be_forfeited",),
    ),
)  # fmt: skip
