"""The manifest of landed files: which content was taken in, and what became of its rows.

Here: a file's report, telling a known file without reading it, its entry, and the quarantine of its refused rows.
Not here: reading files (landing.landed_rows), deciding on rows (landing.intake).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestration.landing.rules.problems import explained, told

if TYPE_CHECKING:
    import duckdb
    import polars as pl

Read = Callable[[str, Mapping[str, Any]], "pl.DataFrame"]
FileKind = Literal["subjects", "events", "reviews", "withdrawals", "exclusions", "documents"]


@dataclass(frozen=True)
class FileReport:
    """What became of one landed file: rows `read` = `accepted` + `duplicates` + `quarantined`.

    `reasons` counts quarantined rows by reason code, which `details` explain, `turns` accepted rows by turn; `ignored`
    names columns that nobody asked for; `loop` is the corpus where documents landed. A file whose content was
    `already_ingested`, under whatever name, changed nothing. One that `came_again` was read for the rows that were
    refused before, or under other columns than then.
    """

    name: str
    file_hash: str
    kind: FileKind
    loop: str | None
    read: int
    accepted: int
    duplicates: int
    quarantined: int
    reasons: dict[str, int]
    turns: dict[str, int]
    ignored: tuple[str, ...] = ()
    already_ingested: bool = False
    came_again: bool = False
    details: dict[str, str] = field(default_factory=dict)

    @property
    def remedies(self) -> list[str]:
        """A line for each reason: the rows refused for it, and what was expected of them."""
        ordered = sorted(self.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
        return [f"  {rows:,} x {reason}: {self.details.get(reason, '')}".rstrip(": ") for reason, rows in ordered]

    def __str__(self) -> str:
        if self.already_ingested:
            return f"{self.name} was ingested before: nothing changed"
        ignored = f"; ignored columns: {', '.join(self.ignored)}" if self.ignored else ""
        read = "rows of what came again" if self.came_again else "rows"
        why = f" ({told(self.reasons)})" if self.reasons else ""
        return (
            f"{self.name}: {self.read:,} {read} read, {self.accepted:,} accepted, {self.duplicates:,} duplicates, "
            f"{self.quarantined:,} quarantined{why}{ignored}"
        )


class RefusedFilesError(RuntimeError):
    """Files were refused as a whole, and nothing of them stored; `reports` are those of the other files."""

    def __init__(self, refused: Mapping[str, str], reports: Sequence[FileReport] | None = None) -> None:
        one = len(refused) == 1
        listed = "\n".join(f"- {name} {why}" for name, why in refused.items())
        super().__init__(
            f"{len(refused)} landed {'file was' if one else 'files were'} refused and nothing of "
            f"{'it' if one else 'them'} stored"
            f"{'' if reports is None else f'; of the others, {len(reports)} went through'}.\n{listed}"
        )
        self.refused = dict(refused)
        self.reports = list(reports or ())


class RowsUnaccountedError(RuntimeError):
    """Rows read are not rows accepted, repeated and quarantined: a defect of this program. Nothing was stored."""


@dataclass(frozen=True)
class Identity:
    """What tells a file from another without reading it: its path below landing/, size and time."""

    name: str
    bytes: int
    modified_ns: int


def known_files(read: Read, kind: FileKind) -> set[Identity]:
    """Every file in the manifest."""
    rows = read("select name, bytes, modified_ns from flywheel.landed_files where kind = $kind", {"kind": kind})
    return {Identity(*row) for row in rows.iter_rows()}


@dataclass(frozen=True)
class Known:
    """What the manifest says of a content: how many of its rows are in quarantine, when its file came to lie there, and
    the columns that were declared then, where it says so."""

    quarantined: int
    changed_ns: int
    declared: str | None

    def comes_again(self, changed_ns: int, declared: str | None = None) -> bool:
        """Whether a file of the content has come since, and there is something to gain from reading it."""
        return changed_ns > self.changed_ns and (self.quarantined > 0 or self.other_columns(declared))

    def other_columns(self, declared: str | None) -> bool:
        """Whether other columns are declared now than then."""
        return None not in (declared, self.declared) and declared != self.declared


def known_contents(read: Read, kind: FileKind, loop: str | None) -> dict[str, Known]:
    """Every content in the manifest by its SHA-256. The same content may land once for each loop."""
    rows = read(
        "select file_hash, quarantined, coalesce(changed_ns, modified_ns) as changed_ns, declared "
        "from flywheel.landed_files where kind = $kind and loop is not distinct from $loop::varchar",
        {"kind": kind, "loop": loop},
    )
    return {file_hash: Known(*row) for file_hash, *row in rows.iter_rows()}


def only_quarantined(connection: "duckdb.DuckDBPyConnection", file_hash: str, kind: FileKind, loop: str | None) -> int:
    """Leave in `arrived` what was refused of the file before; how many rows that are."""
    connection.execute(
        """
        create temp table refused_before as select line as _line from flywheel.quarantine
        where kind = $kind and loop is not distinct from $loop::varchar and file_hash = $file_hash""",
        {"kind": kind, "loop": loop, "file_hash": file_hash},
    )
    is_view = _counted(connection, "select count(*) from duckdb_views() where temporary and view_name = 'arrived'")
    connection.execute(f"alter {'view' if is_view else 'table'} arrived rename to arrived_before")
    connection.execute("create temp view arrived as from arrived_before semi join refused_before using (_line)")
    return _counted(connection, "select count(*) from arrived")


def taken_out(
    connection: "duckdb.DuckDBPyConnection", file_hash: str, kind: FileKind, loop: str | None
) -> tuple[int, int]:
    """Take the file out of quarantine and manifest, to be entered anew: its rows accepted, and its duplicates."""
    same = "kind = $kind and loop is not distinct from $loop::varchar and file_hash = $file_hash"
    parameters = {"kind": kind, "loop": loop, "file_hash": file_hash}
    row = connection.execute(
        f"select accepted, duplicates from flywheel.landed_files where {same}", parameters
    ).fetchone()
    for table in ("quarantine", "landed_files"):
        connection.execute(f"delete from flywheel.{table} where {same}", parameters)
    return row or (0, 0)


def quarantine(
    connection: "duckdb.DuckDBPyConnection",
    file_hash: str,
    kind: FileKind,
    loop: str | None,
    *,
    described: bool = False,
) -> tuple[dict[str, int], dict[str, str]]:
    """Put the rows of `refused` (_line, problem) into quarantine; how many there are of each reason, and its sentence.

    `described` says that the table `about` tells turn, loop, type and key of the events among them.
    """
    described_as = ", event_turn, event_loop, event_type, event_key" if described else ""
    about = "left join about using (_line)" if described else ""
    counted = connection.execute("select problem, count(*) from refused group by problem order by problem").fetchall()
    reasons: dict[str, int] = {}
    details: dict[str, str] = {}
    for problem, count in counted:
        reason, details[reason] = explained(problem)
        reasons[reason] = reasons.get(reason, 0) + count
    connection.execute(
        f"""
        insert into flywheel.quarantine (file_hash, kind, loop, line, reason, detail{described_as})
        select $file_hash, $kind, $loop, _line, reason, detail{described_as} from refused join (
            select unnest($problems::varchar[]) as problem, unnest($reasons::varchar[]) as reason,
                unnest($details::varchar[]) as detail
        ) using (problem) {about}""",
        {
            "file_hash": file_hash,
            "kind": kind,
            "loop": loop,
            "problems": [problem for problem, _ in counted],
            "reasons": [explained(problem)[0] for problem, _ in counted],
            "details": [explained(problem)[1] for problem, _ in counted],
        },
    )
    return reasons, details


def enter(
    connection: "duckdb.DuckDBPyConnection",
    report: FileReport,
    identity: Identity,
    now: datetime,
    run_id: str,
    *,
    changed_ns: int,
    declared: str,
    before: tuple[int, int] = (0, 0),
) -> None:
    """Enter a file into the manifest. Raises RowsUnaccountedError unless every row is accounted for.

    `before` are rows accepted and duplicates of an earlier coming, which count as well.
    """
    if report.accepted + report.duplicates + report.quarantined != report.read:
        raise RowsUnaccountedError(
            f"{report.name}: read {report.read:,} rows, but accepted {report.accepted:,}, found {report.duplicates:,} "
            f"duplicates and quarantined {report.quarantined:,}. Nothing of it was stored; please report this."
        )
    accepted, duplicates = before[0] + report.accepted, before[1] + report.duplicates
    connection.execute(
        """
        insert into flywheel.landed_files (
            file_hash, kind, loop, name, bytes, modified_ns, rows_read, accepted, duplicates, quarantined,
            ingested_at, run_id, changed_ns, declared)
        values ($file_hash, $kind, $loop, $name, $bytes, $modified_ns, $read, $accepted, $duplicates, $quarantined,
            $now, $run_id, $changed_ns, $declared)""",
        {
            "file_hash": report.file_hash,
            "kind": report.kind,
            "loop": report.loop,
            "name": identity.name,
            "bytes": identity.bytes,
            "modified_ns": identity.modified_ns,
            "read": accepted + duplicates + report.quarantined,
            "accepted": accepted,
            "duplicates": duplicates,
            "quarantined": report.quarantined,
            "now": now,
            "run_id": run_id,
            "changed_ns": changed_ns,
            "declared": declared,
        },
    )


def _counted(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
