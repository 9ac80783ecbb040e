"""Reading the SQL that stands in Python: whole statements out of literals, and what is wrong with one."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pglast.ast
from pglast import parse_sql
from pglast.parser import ParseError
from pglast.visitors import Visitor

LOOKS_LIKE = re.compile(
    r"\s*(select\b|insert into\b|update\s+\w+\s+((as\s+)?\w+\s+)?set\b|delete from\b|with (recursive )?\w+ (\([^)]*\) )?as\b"
    r"|merge into\b|truncate\b|listen \w|notify \w|lock table\b|copy \w+ )"
)
sql: Any = pglast.ast
"""Nodes of a parsed statement. Their types call every member optional; what is read here the grammar guarantees."""

CLOCKS = {"now", "statement_timestamp", "transaction_timestamp", "clock_timestamp", "timeofday"}
Writes = (sql.InsertStmt, sql.UpdateStmt, sql.DeleteStmt, sql.MergeStmt, sql.TruncateStmt)


@dataclass(frozen=True)
class Statement:
    """SQL text with the line and, where it has one, the module-level name it stands at."""

    text: str
    line: int
    name: str


def statements(source: str) -> list[Statement]:
    """Every literal of a Python source that reads as SQL, fragments of the same module put together."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    found: list[Statement] = []
    for node in tree.body:
        if _is_docstring(node):
            continue
        name = _assigned(node)
        for literal in _literals(node):
            text = _folded(literal, names)
            if name and literal is getattr(node, "value", None):
                names[name] = text
            if LOOKS_LIKE.match(text):
                found.append(Statement(text, literal.lineno, name))
    return found


def faults(text: str, tenant_tables: frozenset[str], *, parameter: str | None = None) -> list[str]:
    """What the house holds against a statement. `parameter` names the tenant inside a function, where there is no $1."""
    try:
        parsed = parse_sql(text)
    except ParseError as error:
        return [f"cannot be read: {error}"]
    reader = _Reader(tenant_tables, parameter)
    for statement in parsed:
        reader(statement)
    return reader.faults


def written(text: str) -> set[str]:
    """The tables a statement writes."""
    tables: set[str] = set()

    class Writer(Visitor):
        def visit(self, _ancestors: object, node: Any) -> None:
            if isinstance(node, sql.TruncateStmt):
                tables.update(relation.relname for relation in node.relations)
            elif isinstance(node, Writes):
                tables.add(node.relation.relname)

    Writer()(parse_sql(text))
    return tables


class _Reader(Visitor):
    """Collects the faults of one statement."""

    def __init__(self, tenant_tables: frozenset[str], parameter: str | None) -> None:
        self.tenant_tables, self.parameter = tenant_tables, parameter
        self.faults: list[str] = []
        self._tied_from_outside: list[Any] = []

    def visit_RawStmt(self, _ancestors: object, node: Any) -> None:
        if any(table in self.tenant_tables for table in _tables(node)) and not self._names_the_tenant(node):
            self.faults.append("touches a tenant's table and takes no tenant")

    def visit_SubLink(self, _ancestors: object, node: Any) -> None:
        if any(_column(side) == "tenant_id" for side in _flat(node.testexpr)):
            self._tied_from_outside.append(node.subselect)

    def visit_SelectStmt(self, _ancestors: object, node: Any) -> None:
        if not any(node is tied for tied in self._tied_from_outside):
            self._bound(node, node.fromClause)

    def visit_UpdateStmt(self, _ancestors: object, node: Any) -> None:
        self._bound(node, [node.relation, *(node.fromClause or ())])

    def visit_DeleteStmt(self, _ancestors: object, node: Any) -> None:
        self._bound(node, [node.relation, *(node.usingClause or ())])

    def visit_MergeStmt(self, _ancestors: object, node: Any) -> None:
        self._bound(node, [node.relation, node.sourceRelation])

    def visit_InsertStmt(self, _ancestors: object, node: Any) -> None:
        if node.cols is None:
            self.faults.append(f"inserts into {node.relation.relname} without naming columns")
        elif node.relation.relname in self.tenant_tables and "tenant_id" not in {column.name for column in node.cols}:
            self.faults.append(f"inserts into {node.relation.relname} without tenant_id")

    def visit_CommonTableExpr(self, _ancestors: object, node: Any) -> None:
        if node.ctename in self.tenant_tables:
            self.faults.append(f"gives the name of the table {node.ctename} to something else")

    def visit_ColumnRef(self, _ancestors: object, node: Any) -> None:
        if isinstance(node.fields[-1], sql.A_Star):
            self.faults.append("takes every column: name them")

    def visit_SQLValueFunction(self, _ancestors: object, node: Any) -> None:
        if "TIME" in node.op.name or "DATE" in node.op.name:
            self.faults.append("asks the server for the time: time is a parameter")

    def visit_FuncCall(self, _ancestors: object, node: Any) -> None:
        name = node.funcname[-1].sval
        if name in CLOCKS:
            self.faults.append("asks the server for the time: time is a parameter")
        elif "advisory" in name:
            self.faults.append("takes an advisory lock")
        elif name in {"pg_notify", "nextval"}:
            self.faults.append(f"calls {name}")

    def visit_ListenStmt(self, _ancestors: object, _node: Any) -> None:
        self.faults.append("listens")

    def visit_NotifyStmt(self, _ancestors: object, _node: Any) -> None:
        self.faults.append("notifies")

    def visit_TruncateStmt(self, _ancestors: object, _node: Any) -> None:
        self.faults.append("truncates")

    def _bound(self, node: Any, tables: Any) -> None:
        """Each tenant's table of this level is tied to a tenant by an equality, by name where there are several."""
        tied = set(_tied(node))
        for table in _ranges(tables):
            alias = table.alias.aliasname if table.alias else table.relname
            if table.relname in self.tenant_tables and not tied & {alias, ""}:
                self.faults.append(f"reads or writes {alias} without a condition on its tenant_id")

    def _names_the_tenant(self, node: Any) -> bool:
        """Whether a parameter is compared with tenant_id, or stands in an insert's values."""
        for part in _within(node):
            if isinstance(part, sql.InsertStmt) and part.cols and "tenant_id" in {column.name for column in part.cols}:
                return True
            if isinstance(part, sql.A_Expr) and part.name and part.name[-1].sval == "=":
                sides = [*_flat(part.lexpr), *_flat(part.rexpr)]
                if any(_column(side) == "tenant_id" for side in sides) and any(map(self._is_parameter, sides)):
                    return True
        return False

    def _is_parameter(self, node: Any) -> bool:
        if isinstance(node, sql.TypeCast):
            return self._is_parameter(node.arg)
        return isinstance(node, sql.ParamRef) if self.parameter is None else _column(node) == self.parameter


def _tied(node: Any) -> Iterator[str]:
    """The aliases whose tenant_id is compared inside the node; an empty one where the column stands alone."""
    for part in _within(node):
        if isinstance(part, sql.A_Expr) and part.name and part.name[-1].sval == "=":
            compared = [*_flat(part.lexpr), *_flat(part.rexpr)]
        elif isinstance(part, sql.SubLink) and part.testexpr is not None:
            compared = _flat(part.testexpr)
        elif isinstance(part, sql.JoinExpr) and "tenant_id" in {name.sval for name in part.usingClause or ()}:
            yield from (table.alias.aliasname if table.alias else table.relname for table in _ranges([part]))
            continue
        else:
            continue
        for side in compared:
            if _column(side) == "tenant_id":
                yield side.fields[-2].sval if len(side.fields) > 1 else ""


def _flat(node: Any) -> list[Any]:
    return list(node.args) if isinstance(node, sql.RowExpr) else list(node) if isinstance(node, tuple) else [node]


def _column(node: Any) -> str:
    last = node.fields[-1] if isinstance(node, sql.ColumnRef) else None
    return last.sval if isinstance(last, sql.String) else ""


def _ranges(items: Any) -> Iterator[Any]:
    """The tables that stand in a from clause itself, not in queries inside it."""
    for item in items or () if isinstance(items, (list, tuple)) else [items]:
        if isinstance(item, sql.RangeVar):
            yield item
        elif isinstance(item, sql.JoinExpr):
            yield from _ranges([item.larg, item.rarg])


def _tables(node: Any) -> set[str]:
    return {part.relname for part in _within(node) if isinstance(part, sql.RangeVar)}


def _within(node: Any) -> list[Any]:
    found: list[Any] = []

    class Everything(Visitor):
        def visit(self, _ancestors: object, part: Any) -> None:
            found.append(part)

    Everything()(node)
    return found


def _assigned(node: ast.stmt) -> str:
    target = (
        node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    )
    return target.id if isinstance(target, ast.Name) else ""


def _literals(node: ast.AST) -> Iterator[ast.expr]:
    """The outermost string expressions below a node that are not docstrings."""
    for child in ast.iter_child_nodes(node):
        if _is_docstring(child):
            continue
        if _is_text(child):
            assert isinstance(child, ast.expr)
            yield child
        else:
            yield from _literals(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _folded(node: ast.expr, names: Mapping[str, str]) -> str:
    """The text of a string expression; a part that is known only at run time reads as the word `unknown`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_folded(value, names) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return _folded(node.value, names)
    if isinstance(node, ast.BinOp):
        return _folded(node.left, names) + _folded(node.right, names)
    if isinstance(node, ast.Name):
        return names.get(node.id, "unknown")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _called(node.func, node, names)
    return "unknown"


def _called(method: ast.Attribute, call: ast.Call, names: Mapping[str, str]) -> str:
    """What `format` and `replace` make of a text, given texts."""
    text = _folded(method.value, names)
    if method.attr == "format" and not call.args:
        named = {each.arg: _folded(each.value, names) for each in call.keywords if each.arg is not None}
        return text.format(**named)
    if method.attr == "replace" and len(call.args) == 2:
        return text.replace(_folded(call.args[0], names), _folded(call.args[1], names))
    return "unknown"
