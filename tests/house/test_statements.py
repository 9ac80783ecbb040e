"""Every statement names its tenant and its columns, takes the time as a parameter, and writes its own room's tables only."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pglast import parse_plpgsql, parse_sql
from pglast.visitors import Visitor

from tests.house.places import DATABASE, PACKAGE, classes, sources, tables_of
from tests.house.statements import LOOKS_LIKE, Statement, faults, sql, statements, written

DISCOVERY = re.compile(r"(DISCOVERY|AUDITOR)_\w+")
"""Statements by which a loop finds the tenants that have due work, or the auditor reads the whole house: these name no tenant."""

EXCEPT = {
    ("base/migrate.py", "takes an advisory lock"),  # one migrator at a time; nothing waits for it but another one
}

ROOMS = {
    "activity": {
        "activities", "activity_keys", "activity_waits", "activity_cursors", "threshold_outcomes", "threshold_spent",
        "return_signals",
    },
    "audit": {"request_log", "unknown_requests"},
    "base": {"idempotency_keys", "master_keys"},
    "customers": {"customers", "recipients", "phone_codes", "customer_merges", "data_permissions", "card_tokens"},
    "events": {"events", "tenant_heads", "event_sequences"},
    "giftcards": {
        "gift_cards", "gift_card_activities", "gift_card_batches", "gift_card_designs", "gift_card_deliveries",
        "gift_card_adjustments", "gift_card_charge_backs", "card_canaries", "card_lookup_windows", "card_pin_tries",
    },
    "governance": {"agreement_heads", "agreement_terms", "quota_lines", "quota_usage"},
    "imports": {"imports", "import_parts", "import_rejections"},
    "integrations": {"integrations", "integration_faults", "integration_doors"},
    "ledger": {
        "accounts", "journals", "entries", "holds", "hold_resolutions", "lot_deadlines", "periods", "book_closings",
    },
    "merchants": {"merchants", "spending_terms", "activity_terms", "locations"},
    "messages": {"messages"},
    "partners": {
        "programmes", "tenants", "partners", "agreements", "clients", "client_secrets", "access_tokens", "rate_limits",
        "operators",
    },
    "payments": {
        "payment_intents", "payment_sources", "payment_parts", "payment_refunds", "till_references", "spending_days",
    },
    "reports": {
        "reports", "report_parts", "breakage_terms", "breakage_runs", "report_schedules", "reconciliations",
        "reconciliation_differences",
    },
    "rewards": {"rewards", "reward_batches", "reward_batch_items"},
    "thresholds": {
        "thresholds", "threshold_versions", "threshold_intervals", "threshold_progress", "threshold_marks",
    },
    "wallets": {"wallets", "till_codes", "wallet_merges"},
    "worker.py": {"heartbeats"},
    "webhooks": {
        "webhooks", "webhook_heads", "webhook_secrets", "webhook_deliveries", "webhook_attempts", "webhook_replays",
    },
}  # fmt: skip

SHARED = {
    "partners": {"tenant_heads"},  # who makes a tenant makes its head; only events move it
    "sandbox": {"tenants"},  # the clock is a column of the tenant, so that entering it costs no second read
}

TENANT_TABLES = tables_of("tenant")
FILES = [str(path.relative_to(PACKAGE)) for path in sources() if statements(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("file", FILES)
def test_a_statement_names_its_tenant_and_columns_and_takes_the_time(file: str) -> None:
    found = [
        f"{file}:{statement.line}: {fault}: {' '.join(statement.text.split())[:100]}"
        for statement in statements((PACKAGE / file).read_text(encoding="utf-8"))
        for fault in _faults(statement)
        if (file, fault) not in EXCEPT
    ]
    assert found == []


@pytest.mark.parametrize("file", FILES)
def test_a_room_writes_its_own_tables_only(file: str) -> None:
    room = Path(file).parts[0]
    known = set(classes())
    for statement in statements((PACKAGE / file).read_text(encoding="utf-8")):
        foreign = (written(statement.text) & known) - ROOMS.get(room, set()) - SHARED.get(room, set())
        assert not foreign, f"{file}:{statement.line} writes {', '.join(sorted(foreign))}, which another room owns"


def test_every_table_has_one_room_and_one_class() -> None:
    owned = [table for tables in ROOMS.values() for table in tables]
    assert sorted(owned) == sorted(classes())
    assert set(classes().values()) <= {"tenant", "directory", "local", "reference"}
    assert len(TENANT_TABLES) >= 18


@pytest.mark.parametrize(
    "file",
    ["functions.sql", "issuing.sql", "spending.sql", "worth.sql", "thresholds.sql", "rehearsing.sql", "activity.sql"],
)
def test_functions_take_their_tenant_first_and_their_statements_name_it(file: str) -> None:
    text = (DATABASE / file).read_text(encoding="utf-8")
    assert _function_faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("select id from wallets where id = $1", "takes no tenant"),
        ("select id from wallets", "takes no tenant"),
        ("select w.id from wallets w join rewards r on r.wallet_id = w.id where w.tenant_id = $1", "reads or writes r"),
        (
            "select id from wallets w where tenant_id = $1 and exists (select from rewards r where r.id = w.id)",
            "writes r",
        ),
        ("select id from wallets where tenant_id > $1", "takes no tenant"),
        ("select tenant_id from wallets where id = $1", "takes no tenant"),
        ("select id from wallets where tenant_id = customer_id", "takes no tenant"),
        ("update wallets set status = $2 where id = $1", "takes no tenant"),
        ("update wallets set tenant_id = $1 where id = $2", "reads or writes wallets"),
        ("delete from wallets where id = $1", "takes no tenant"),
        ("insert into wallets (id) values ($1)", "without tenant_id"),
        ("insert into wallets values ($1)", "without naming columns"),
        ("with gone as (delete from wallets where id = $1 returning id) select id from gone", "takes no tenant"),
        ("with wallets as (select 1 as id) select id from wallets", "gives the name"),
        ("merge into wallets w using rewards r on w.id = r.wallet_id when matched then delete", "takes no tenant"),
        ("select * from programmes", "every column"),
        ("select p.* from programmes p", "every column"),
        ("select id from programmes where created_at < now()", "the time"),
        ("select current_timestamp", "the time"),
        ("select pg_advisory_xact_lock(1)", "advisory"),
        ("select pg_notify('a', 'b')", "pg_notify"),
        ("listen there", "listens"),
        ("notify there", "notifies"),
        ("truncate programmes", "truncates"),
        ("select from where", "cannot be read"),
    ],
)
def test_a_planted_statement_is_found(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(text, TENANT_TABLES)), faults(text, TENANT_TABLES)


@pytest.mark.parametrize(
    "text",
    [
        "select id from wallets where tenant_id = $1 and id = any($2::uuid[])",
        "select w.id from wallets w join rewards r on r.tenant_id = w.tenant_id and r.wallet_id = w.id where w.tenant_id = $1",
        "select w.id from wallets w join rewards r using (tenant_id) where w.tenant_id = $1::uuid",
        "select count(*) from wallets where (tenant_id, id) = ($1, $2)",
        "insert into wallets (tenant_id, id) select $1, id from unnest($2::uuid[]) as given (id) on conflict do nothing",
        "with new as (select 1 as id) update wallets w set version = 2 from new where w.tenant_id = $1 and w.id = new.id",
        "select id from programmes where id = $1",
        "select 1",
    ],
)
def test_a_sound_statement_is_left_alone(text: str) -> None:
    assert faults(text, TENANT_TABLES) == []


def test_a_statement_is_read_wherever_it_stands_in_a_source() -> None:
    source = '''
"""select nothing: this is a docstring"""
COLUMNS = "id, name"
LISTED = "from wallets where id = $1"
LIST = f"select {COLUMNS} {LISTED} order by id"
DISCOVERY_DUE = "select id from wallets"
def act(work):
    """update the books"""
    work.db.run("delete from " + "wallets")
    work.db.run(f"select {work.x} from wallets")
'''
    found = statements(source)
    assert [(statement.text, statement.name) for statement in found] == [
        ("select id, name from wallets where id = $1 order by id", "LIST"),
        ("select id from wallets", "DISCOVERY_DUE"),
        ("delete from wallets", ""),
        ("select unknown from wallets", ""),
    ]
    assert [bool(_faults(statement)) for statement in found] == [True, False, True, True]


def test_a_write_to_another_rooms_table_is_found() -> None:
    assert written("with a as (update wallets set version = 1 returning id) insert into rewards (id) select id from a") == {
        "wallets", "rewards",
    }  # fmt: skip
    assert written("select id from wallets for update") == set()


@pytest.mark.parametrize(
    ("head", "body", "fault"),
    [
        ("_account_id uuid", "return (select balance from accounts where id = _account_id)", "first parameter"),
        ("_tenant_id uuid, _id uuid", "return (select balance from accounts where id = _id)", "takes no tenant"),
        ("_tenant_id uuid, _id uuid", "update accounts set held = 0 where id = _id; return 1", "takes no tenant"),
        ("_tenant_id uuid", "return (select count(*) from programmes where created_at < now())", "the time"),
    ],
)
def test_a_planted_function_is_found(head: str, body: str, fault: str) -> None:
    text = f"create function planted({head}) returns bigint language plpgsql as $$ begin {body}; end $$;"
    assert any(fault in found for found in _function_faults(text)), _function_faults(text)


def _faults(statement: Statement) -> list[str]:
    found = faults(statement.text, TENANT_TABLES)
    if DISCOVERY.fullmatch(statement.name):
        found = [fault for fault in found if "tenant" not in fault]
    return found


def _function_faults(text: str) -> list[str]:
    found = []
    for raw in _parsed(text):
        function = raw.stmt
        if not isinstance(function, sql.CreateFunctionStmt):
            continue
        name = function.funcname[-1].sval
        parameters = [parameter.name for parameter in function.parameters or ()]
        body = text[raw.stmt_location :][: raw.stmt_len or None]
        queries = list(_queries(body))
        if parameters[:1] != ["_tenant_id"] and not _reads_nothing(function, queries):
            found.append(f"{name}: its first parameter is not _tenant_id")
        for query in queries:
            found += [
                f"{name}: {fault}: {query[:80]}" for fault in faults(query, TENANT_TABLES, parameter="_tenant_id")
            ]
    return found


def _reads_nothing(function: Any, queries: Sequence[str]) -> bool:
    """Whether what a function answers depends on what it is given, and on no table."""
    read: list[str] = []

    class Tables(Visitor):
        def visit(self, _ancestors: object, node: Any) -> None:
            if isinstance(node, sql.RangeVar):
                read.append(node.relname)

    if function.sql_body is not None:
        Tables()(function.sql_body)
    elif not queries:
        return False
    for query in queries:
        Tables()(parse_sql(query))
    return not read


def _parsed(text: str) -> Any:
    return parse_sql(text)


def _queries(function: str) -> Iterator[str]:
    """The statements inside a function's body, expressions of the language read as the selects they are."""
    parsed: Any = parse_plpgsql(function)
    pending: list[Any] = [json.loads(parsed) if isinstance(parsed, str) else parsed]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            query = node.get("PLpgSQL_expr", {}).get("query")
            if isinstance(query, str):
                # `perform` comes back as a select in capitals.
                yield query if LOOKS_LIKE.match(query) or query.startswith("SELECT") else _as_select(query)
            pending += node.values()


def _as_select(expression: str) -> str:
    """`a := b` and bare expressions are evaluated by the language as selects."""
    return f"select {expression.partition(':=')[2] or expression}"
