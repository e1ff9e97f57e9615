"""The manifest of landed files: which content was taken in, and what became of its rows.

Here: a file's report, telling a known file without reading it, its entry, and the quarantine of its refused rows.
Not here: reading files (landing.landed_rows), deciding on rows (landing.intake).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestration.landing.rules.problems import explained

if TYPE_CHECKING:
    import duckdb
    import polars as pl

Read = Callable[[str, Mapping[str, Any]], "pl.DataFrame"]
FileKind = Literal["subjects", "events", "reviews", "withdrawals", "documents"]


@dataclass(frozen=True)
class FileReport:
    """What became of one landed file: rows `read` = `accepted` + `duplicates` + `quarantined`.

    `reasons` counts quarantined rows by reason code, `turns` accepted rows by turn; `ignored` names columns that
    nobody asked for; `loop` is the corpus where documents landed. A file whose content was `already_ingested`, under
    whatever name, changed nothing.
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

    def __str__(self) -> str:
        if self.already_ingested:
            return f"{self.name} was ingested before: nothing changed"
        ignored = f"; ignored columns: {', '.join(self.ignored)}" if self.ignored else ""
        return (
            f"{self.name}: {self.read:,} rows read, {self.accepted:,} accepted, {self.duplicates:,} duplicates, "
            f"{self.quarantined:,} quarantined{ignored}"
        )


class RefusedFilesError(RuntimeError):
    """Files were refused as a whole, and nothing of them stored; `reports` are those of the other files."""

    def __init__(self, refused: Mapping[str, str], reports: Sequence[FileReport]) -> None:
        one = len(refused) == 1
        listed = "\n".join(f"- {name} {why}" for name, why in refused.items())
        super().__init__(
            f"{len(refused)} landed {'file was' if one else 'files were'} refused and nothing of "
            f"{'it' if one else 'them'} stored; of the others, {len(reports)} went through.\n{listed}"
        )
        self.refused = dict(refused)
        self.reports = list(reports)


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


def known_contents(read: Read, kind: FileKind, loop: str | None) -> set[str]:
    """SHA-256 of every file in the manifest. The same content may land once for each loop."""
    rows = read(
        "select file_hash from flywheel.landed_files where kind = $kind and loop is not distinct from $loop::varchar",
        {"kind": kind, "loop": loop},
    )
    return set(rows["file_hash"])


def quarantine(
    connection: "duckdb.DuckDBPyConnection", file_hash: str, kind: FileKind, loop: str | None
) -> dict[str, int]:
    """Put the rows of `refused` (_line, problem) into quarantine; how many there are of each reason."""
    counted = connection.execute("select problem, count(*) from refused group by problem order by problem").fetchall()
    reasons: dict[str, int] = {}
    for problem, count in counted:
        reason, _ = explained(problem)
        reasons[reason] = reasons.get(reason, 0) + count
    connection.execute(
        """
        insert into flywheel.quarantine (file_hash, kind, loop, line, reason, detail)
        select $file_hash, $kind, $loop, _line, reason, detail from refused join (
            select unnest($problems::varchar[]) as problem, unnest($reasons::varchar[]) as reason,
                unnest($details::varchar[]) as detail
        ) using (problem)""",
        {
            "file_hash": file_hash,
            "kind": kind,
            "loop": loop,
            "problems": [problem for problem, _ in counted],
            "reasons": [explained(problem)[0] for problem, _ in counted],
            "details": [explained(problem)[1] for problem, _ in counted],
        },
    )
    return reasons


def enter(
    connection: "duckdb.DuckDBPyConnection", report: FileReport, identity: Identity, now: datetime, run_id: str
) -> None:
    """Enter a file into the manifest. Raises RowsUnaccountedError unless every row is accounted for."""
    if report.accepted + report.duplicates + report.quarantined != report.read:
        raise RowsUnaccountedError(
            f"{report.name}: read {report.read:,} rows, but accepted {report.accepted:,}, found {report.duplicates:,} "
            f"duplicates and quarantined {report.quarantined:,}. Nothing of it was stored; please report this."
        )
    connection.execute(
        """
        insert into flywheel.landed_files (
            file_hash, kind, loop, name, bytes, modified_ns, rows_read, accepted, duplicates, quarantined,
            ingested_at, run_id)
        values ($file_hash, $kind, $loop, $name, $bytes, $modified_ns, $read, $accepted, $duplicates, $quarantined,
            $now, $run_id)""",
        {
            "file_hash": report.file_hash,
            "kind": report.kind,
            "loop": report.loop,
            "name": identity.name,
            "bytes": identity.bytes,
            "modified_ns": identity.modified_ns,
            "read": report.read,
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "quarantined": report.quarantined,
            "now": now,
            "run_id": run_id,
        },
    )
