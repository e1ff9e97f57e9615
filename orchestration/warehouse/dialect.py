"""Statements in DuckDB's dialect, said in Postgres'.

Here: the translation of one text, kept by text; what sqlglot has no words for is said here by rules, each with the
reason. Not here: running statements (postgres) and dbt's models, which dispatch by macros (dbt_project/macros).

A conformance suite runs the statements of the project on both engines and compares what comes out
(tests/test_warehouse_conformance.py): a rule is wrong when it says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

from orchestration.tables import SCHEMA, TABLES
from orchestration.warehouse.protocol import StatementError

if TYPE_CHECKING:
    from sqlglot import exp

HELPERS = (
    """create or replace function flywheel.is_json(document text) returns boolean language plpgsql immutable strict
    parallel safe as $$ begin perform document::json; return true; exception when others then return false; end $$""",
    """create or replace function flywheel.try_date(written text) returns date language plpgsql stable strict
    parallel safe as $$ begin return written::date; exception when others then return null; end $$""",
    """create or replace function flywheel.json_length(document text) returns bigint language sql immutable strict
    parallel safe as $$
        select case when json_typeof(document::json) = 'array' then json_array_length(document::json) else 0 end
    $$""",
    """create or replace function flywheel.first(values_in_order anyarray) returns anyelement language sql immutable
    parallel safe as $$ select values_in_order[1] $$""",
)
"""Functions that DuckDB has and Postgres 15 lacks, made in schema `flywheel` with the tables."""


class UntranslatableError(StatementError):
    """A statement that has no counterpart in Postgres; the message names the part."""


@dataclass(frozen=True)
class Translated:
    """A statement in Postgres' dialect with parameters `$1`, `$2`, ..., and their names in that order."""

    sql: str
    names: tuple[str, ...]


@lru_cache(maxsize=1_024)
def translated(sql: str) -> Translated:
    """`sql` in Postgres' dialect. Raises UntranslatableError naming what cannot be said there."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ErrorLevel, SqlglotError

    try:
        tree = sqlglot.parse_one(sql, read="duckdb")
        names = list(dict.fromkeys(_name(found, sql) for found in tree.find_all(exp.Placeholder)))
        for placeholder in list(tree.find_all(exp.Placeholder)):
            placeholder.replace(exp.Parameter(this=exp.Literal.number(names.index(_name(placeholder, sql)) + 1)))
        for select in tree.find_all(exp.Select):
            _star_but_some(select)
        for node in reversed(list(tree.walk())):  # from the leaves up: a rule finds its parts said already
            said = _said_otherwise(node)
            if said is not node:
                node.replace(said)
        _group_by_all(tree)
        tree = _qualify(tree)
        tree = _order_by_all(tree)
        _alias_relations(tree)
        text = tree.sql(dialect="postgres", unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise UntranslatableError(f"Cannot be translated to Postgres: {error} In: {' '.join(sql.split())}") from error
    return Translated(text, tuple(names))


def _name(placeholder: "exp.Expr", sql: str) -> str:
    name = placeholder.name
    if not name.isidentifier():
        raise UntranslatableError(f"Name the parameters, as in `$turn`, in: {' '.join(sql.split())}")
    return name


def _said_otherwise(node: "exp.Expr") -> "exp.Expr":
    """One node as Postgres says it; nodes that both say alike, or that sqlglot translates, stay."""
    from sqlglot import exp

    rules: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
        exp.IgnoreNulls: lambda one: one.this if isinstance(one.this, exp.Dot) else one,  # said by _first
        exp.AnyValue: lambda one: _first(one.this, None),  # Postgres has it since 16
        exp.ArgMin: lambda one: _first(one.this, one.expression),
        exp.ArgMax: lambda one: _first(one.this, one.expression, "desc"),
        exp.SHA2: lambda one: exp.SHA2(
            this=exp.func("convert_to", one.this, exp.Literal.string("UTF8")), length=one.args.get("length")
        ),  # of bytes
        exp.JSONExtractScalar: _json_text,
        exp.JSONType: lambda one: exp.func("upper", exp.func("json_typeof", _as_json(one.this))),
        exp.TryCast: _try_cast,
        exp.Explode: _unnested,
        exp.Cast: _cast,
        exp.Anonymous: _function,
    }
    rule = rules.get(type(node))
    return node if rule is None else rule(node)


def _first(value: "exp.Expr", by: "exp.Expr | None", direction: str = "") -> "exp.Expr":
    """The first value that is not null, by an order where one is given."""
    order = f" order by {_sql(by)} {direction}" if by is not None else ""
    known = f"{_sql(value)} is not null" + (f" and {_sql(by)} is not null" if by is not None else "")
    return _parsed(f"flywheel.first(array_agg({_sql(value)}{order}) filter (where {known}))")


def _json_text(node: "exp.Expr") -> "exp.Expr":
    """A field of a JSON object as text; documents are kept as text, and a field's name may be a parameter."""
    from sqlglot import exp

    path = node.expression
    if isinstance(path, exp.JSONPath):
        keys = [part.this for part in path.expressions if not isinstance(part, exp.JSONPathRoot)]
        if len(keys) != 1 or not isinstance(keys[0], str):
            raise UntranslatableError(f"Only a field of the outermost object can be read in Postgres: {node.sql()}")
        field: exp.Expr = exp.Literal.string(keys[0])
    else:
        field = exp.cast(path, "text")
    return exp.func("json_extract_path_text", _as_json(node.this), field)


def _unnested(node: "exp.Expr") -> "exp.Expr":
    """A list that is a parameter has no type in Postgres: lists of parameters are texts."""
    from sqlglot import exp

    return exp.Explode(this=exp.cast(node.this, "text[]")) if isinstance(node.this, exp.Parameter) else node


def _try_cast(node: "exp.Expr") -> "exp.Expr":
    from sqlglot import exp

    if node.args["to"].this != exp.DataType.Type.DATE:
        raise UntranslatableError(f"Postgres can only try to read dates: {node.sql()}")
    return _helper("try_date", node.this)


def _cast(node: "exp.Expr") -> "exp.Expr":
    """Postgres has no unsigned types, and reads hexadecimal digits as bits."""
    from sqlglot import exp

    types = exp.DataType.Type
    if node.args["to"].this not in (types.UBIGINT, types.UINT, types.INT128):
        return node
    written = node.this.unnest()
    if isinstance(written, exp.DPipe) and written.this.is_string and written.this.name == "0x":
        return _parsed(f"cast(cast('x' || lpad({_sql(written.expression)}, 16, '0') as bit(64)) as bigint)")
    return exp.cast(node.this, "bigint")


def _function(node: "exp.Expr") -> "exp.Expr":
    """Functions that sqlglot hands on as they are."""
    from sqlglot import exp

    arguments = list(node.expressions)
    match node.name.lower():
        case "json_valid":
            return _helper("is_json", *arguments)
        case "json_array_length":
            return _helper("json_length", *arguments)
        case "isfinite":  # that of Postgres is for moments; infinity minus itself is no number
            (number,) = (_sql(one) for one in arguments)
            return _parsed(f"(({number}) - ({number}) = 0)")
        case "to_seconds":
            (number,) = (_sql(one) for one in arguments)
            return _parsed(f"({number} * interval '1 second')")
        case "hash":  # another hash than DuckDB's: nothing may keep it, or depend on which it is
            parts = ", ".join(f"coalesce(cast({_sql(one)} as text), chr(30))" for one in arguments)
            return _parsed(f"hashtextextended(concat_ws(chr(31), {parts}), 0)")
        case "isnan" | "list_transform" | "regexp_matches" | "strftime" | "epoch_us" as name:
            raise UntranslatableError(f"{name} has no counterpart in Postgres.")
    return exp.Anonymous(this=node.this, expressions=arguments)


def _star_but_some(select: "exp.Select") -> None:
    """`* exclude (...)` of one declared table, by the names of its other columns."""
    from sqlglot import exp

    for star in select.expressions:
        left_out = {column.name for column in star.args.get("except_") or ()} if isinstance(star, exp.Star) else set()
        if not left_out:
            continue
        source = select.args["from_"].this
        declared = TABLES.get(source.name) if isinstance(source, exp.Table) and source.db == SCHEMA else None
        if declared is None or select.args.get("joins"):
            raise UntranslatableError(f"Name the columns: only of a declared table alone can some be left out: {star}")
        named = [exp.column(name) for name in declared.columns if name not in left_out]
        place = select.expressions.index(star)
        select.set("expressions", [*select.expressions[:place], *named, *select.expressions[place + 1 :]])


def _group_by_all(tree: "exp.Expr") -> None:
    """By the places of the columns that add nothing up."""
    from sqlglot import exp

    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group is not None and group.args.get("all"):
            places = [
                exp.Literal.number(place)
                for place, column in enumerate(select.expressions, start=1)
                if not _aggregates(column)
            ]
            select.set("group", exp.Group(expressions=places))


def _aggregates(column: "exp.Expr") -> bool:
    from sqlglot import exp

    named = {"bool_or", "bool_and", "array_agg", "list"}
    return any(
        isinstance(node, exp.AggFunc) or (isinstance(node, exp.Anonymous) and node.name.lower() in named)
        for node in column.walk(prune=lambda node: isinstance(node, exp.Subquery))
    )


def _qualify(tree: "exp.Expr") -> "exp.Expr":
    """A condition on windows is a column of an inner SELECT, and the condition of an outer one."""
    from sqlglot import exp

    for number, select in enumerate(list(tree.find_all(exp.Select)), start=1):
        qualify = select.args.get("qualify")
        if qualify is None:
            continue
        chosen = f"is_chosen_{number}"
        starred = any(column.is_star for column in select.expressions)
        if starred and select is tree:
            raise UntranslatableError(f"Name the columns beside QUALIFY: {select.sql(dialect='duckdb')}")
        names = ["*"] if starred else [column.output_name for column in select.expressions]
        order, limit, around = select.args.get("order"), select.args.get("limit"), select.parent
        inner = select.copy()
        for part in ("qualify", "order", "limit"):
            inner.set(part, None)
        inner.append("expressions", exp.alias_(qualify.this.copy(), chosen))
        for column in order.find_all(exp.Column) if order is not None else ():
            column.set("table", None)  # what is ordered by is a column that comes out
        outer = exp.select(*names).from_(exp.Subquery(this=inner)).where(exp.column(chosen))
        outer.set("order", order)
        outer.set("limit", limit)
        outer.set("with_", inner.args.pop("with_", None))
        if around is None:
            tree = outer
        else:
            select.replace(outer)
    return tree


def _order_by_all(tree: "exp.Expr") -> "exp.Expr":
    """By the places of the columns, or, where a star hides them, by whole rows, which compare column by column."""
    from sqlglot import exp

    order = tree.args.get("order")
    if order is None or not any(
        isinstance(one.this, exp.Var) and one.name.upper() == "ALL" for one in order.expressions
    ):
        return tree
    columns = tree.selects if isinstance(tree, exp.Query) else []
    if not any(isinstance(column, exp.Star) or column.is_star for column in columns):
        tree.set("order", exp.Order(expressions=[exp.Literal.number(place + 1) for place in range(len(columns))]))
        return tree
    limit = tree.args.get("limit")
    tree.set("order", None)
    tree.set("limit", None)
    whole = exp.select("*").from_(exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("every"))))
    whole.set("order", exp.Order(expressions=[exp.Ordered(this=exp.column("every"), nulls_first=False)]))
    if limit is not None:
        whole.set("limit", limit)
    return whole


def _alias_relations(tree: "exp.Expr") -> None:
    """Postgres wants a name for every subquery that is read from."""
    from sqlglot import exp

    numbers = count(1)
    for subquery in tree.find_all(exp.Subquery):
        if isinstance(subquery.parent, exp.From | exp.Join) and not subquery.alias:
            subquery.set("alias", exp.TableAlias(this=exp.to_identifier(f"unnamed_{next(numbers)}")))


def _helper(name: str, *arguments: "exp.Expr") -> "exp.Expr":
    from sqlglot import exp

    called = exp.Anonymous(this=name, expressions=[exp.cast(one, "text") for one in arguments])
    return exp.Dot(this=exp.to_identifier("flywheel"), expression=called)


def _as_json(value: "exp.Expr") -> "exp.Expr":
    from sqlglot import exp

    return exp.cast(value, "json")


def _sql(node: "exp.Expr") -> str:
    return node.sql(dialect="postgres")


def _parsed(sql: str) -> "exp.Expr":
    import sqlglot

    return sqlglot.parse_one(sql, read="postgres")
