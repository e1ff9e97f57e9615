"""The landing folder: what comes from outside becomes rows, each file exactly once.

Here: finding files, telling them apart by content, one transaction a file, and writing files.
Not here: reading a file (landing.landed_rows), deciding on its rows (landing.intake), what became of it
(landing.manifest), turns' slices (assets).
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.landing import manifest
from orchestration.landing.addressees import Addressees
from orchestration.landing.intake import (
    MAX_SKEW,
    EventIntake,
    Intake,
    SubjectIntake,
    document_intake,
    exclusion_intake,
    form_of_subjects,
    review_intake,
    withdrawal_intake,
)
from orchestration.landing.landed_rows import FileForm, FileRefusedError, Progress, Sample, arrive, is_damaged, sample
from orchestration.landing.manifest import FileKind, FileReport, Identity, RefusedFilesError
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.landing.rules import documents, events, exclusions, refusals, reviews, subjects, withdrawals
from orchestration.landing.rules.events import Window
from orchestration.landing.strays import strays
from orchestration.loops.declaration import Loop
from orchestration.retention.rows import pruned_to
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import LENGTHS
from orchestration.warehouse.protocol import Warehouse

__all__ = ["FileReport", "Landing", "RefusedFilesError", "landing_resource"]

COLUMNS = {
    "events": events.COLUMNS,
    "reviews": reviews.COLUMNS,
    "withdrawals": withdrawals.COLUMNS,
    "exclusions": exclusions.COLUMNS,
    "documents": documents.COLUMNS,
}
_ONE_AT_A_TIME = threading.Lock()


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class Landing:
    """The folder landing/ and the warehouse that its files go to. `now` is the clock, naive UTC."""

    def __init__(
        self,
        folder: Path,
        warehouse: Warehouse,
        pseudonyms: Pseudonyms,
        settings: Settings,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.folder = folder
        self.warehouse = warehouse
        self._pseudonyms = pseudonyms
        self._addressees = Addressees(settings.addressees_path, settings.lock_timeout_s)
        self._settings = settings
        self._now = now
        self._hashes: dict[Identity, str] = {}

    def pending(self, kind: FileKind, loop: str | None = None) -> list[Path]:
        """Files whose content is not in the manifest, or has come again after rows of it were refused, oldest first.

        Read are only those whose name, size and time are not there either.
        """
        unknown = self._unknown(kind, loop)
        if not unknown:
            return []
        contents = manifest.known_contents(self.warehouse.read, kind, loop)
        return [path for path in unknown if self._may_bring(path, contents.get(self._hash_of(path)))]

    def ingest_events(self, *, loops: Mapping[str, Loop], run_id: str, progress: Progress) -> list[FileReport]:
        """Take in every pending file of events.

        Raises RefusedFilesError, once all other files are stored, when a file was refused as a whole.
        """
        days = LENGTHS[self._settings.cadence].days
        first = max(self._settings.first_turn, pruned_to(self.warehouse) or self._settings.first_turn)
        window = Window(first, days, self._now() + MAX_SKEW)
        return self._ingest(EventIntake(loops, window, self._pseudonyms), run_id, progress)

    def ingest_subjects(self, loop: Loop, *, run_id: str, progress: Progress) -> list[FileReport]:
        """Take in every pending file of the loop's subjects; raises as `ingest_events`."""
        intake = SubjectIntake(loop, self._formats(loop), self._pseudonyms, self._addressees)
        return self._ingest(intake, run_id, progress)

    def ingest_reviews(self, loop: Loop, *, run_id: str, progress: Progress) -> list[FileReport]:
        """Take in every pending file of decisions on the loop's candidates; raises as `ingest_events`."""
        return self._ingest(review_intake(loop, self._now() + MAX_SKEW, self._pseudonyms), run_id, progress)

    def ingest_withdrawals(self, loop: Loop, *, run_id: str, progress: Progress) -> list[FileReport]:
        """Take in every pending file of withdrawals of what the loop released; raises as `ingest_events`."""
        return self._ingest(withdrawal_intake(loop, self._now() + MAX_SKEW, self._pseudonyms), run_id, progress)

    def ingest_exclusions(self, loop: Loop, *, run_id: str, progress: Progress) -> list[FileReport]:
        """Take in every pending file of hours that do not count for the loop; raises as `ingest_events`."""
        return self._ingest(exclusion_intake(loop, self._now() + MAX_SKEW, self._pseudonyms), run_id, progress)

    def pseudonym(self, identifier: str) -> str:
        """What stands for a personal identifier wherever something is kept."""
        return self._pseudonyms.pseudonym(identifier)

    def ingest_documents(self, corpus: str, *, run_id: str, progress: Progress) -> list[FileReport]:
        """Take in every pending file of the corpus; raises as `ingest_events`."""
        return self._ingest(document_intake(corpus), run_id, progress)

    def corpora(self) -> list[str]:
        """Every corpus that has a folder below landing/documents/."""
        folder = self.folder / "documents"
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def samples(self, kind: FileKind, owner: Loop | str | None = None) -> Iterator[tuple[str, str, Sample]]:
        """Each waiting file of a loop or a corpus, with why it would be refused as a whole ('' where it would not be),
        and the sample that was read of it."""
        of_loop = owner if isinstance(owner, Loop) and kind == "subjects" else None
        columns = subjects.columns(of_loop.subjects, of_loop.name) if of_loop else COLUMNS[kind]
        form = form_of_subjects(of_loop) if of_loop else FileForm(breaks_in_fields=kind != "events")
        for path in self.pending(kind, owner.name if isinstance(owner, Loop) else owner):
            try:
                yield self._name(path), "", sample(path, columns, form)
            except FileRefusedError as refusal:
                yield self._name(path), str(refusal), Sample(0, {})

    def strays(self, loops: Collection[str]) -> dict[str, str]:
        """Files that nobody looks for, each with where it probably belongs."""
        return strays(self.folder, loops)

    def write(self, kind: FileKind, loop: str | None, rows: Sequence[Mapping[str, Any]], name: str) -> Path:
        """Land `rows` as the NDJSON file `name`, which shows only once it is complete.

        Raises FileExistsError when a file of that name holds something else: what has landed is never rewritten.
        """
        if Path(name).name != name or name.startswith("."):
            raise ValueError(f"{name!r} is no plain file name.")
        folder = self._folder(kind, loop)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{name.removesuffix('.ndjson')}.ndjson"
        text = "".join(
            json.dumps(dict(row), ensure_ascii=False, allow_nan=False, default=_as_json) + "\n" for row in rows
        ).encode()
        if target.exists():
            if target.read_bytes() == text:
                return target
            raise FileExistsError(f"{self._name(target)} holds other rows: land these under another name.")
        partial = folder / f".{target.name}.{os.getpid()}.partial"
        with partial.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return partial.replace(target)

    def _formats(self, loop: Loop) -> tuple[str, ...]:
        recipes = loop.generation.recipes.for_languages(self._settings.languages)
        return tuple(sorted({recipe.format for recipe in recipes}))

    def _ingest(self, intake: Intake, run_id: str, progress: Progress) -> list[FileReport]:
        reports: list[FileReport] = []
        refused: dict[str, str] = {}
        for path in self._unknown(intake.kind, intake.loop):
            try:
                report = self._ingest_file(path, intake, run_id, progress)
            except FileRefusedError as refusal:
                refused[self._name(path)] = str(refusal)
                progress(f"{self._name(path)} {refusal}")
            else:
                reports.append(report)
                for line in (str(report), *report.remedies):
                    progress(line)
        if refused:
            raise RefusedFilesError(refused, reports)
        return reports

    def _ingest_file(self, path: Path, intake: Intake, run_id: str, progress: Progress) -> FileReport:
        """One file, in one transaction and alone: its rows, its quarantine, its entry in the manifest, or nothing."""
        import duckdb

        identity, file_hash = self._identity(path), self._hash_of(path)
        changed_ns, declared = path.stat().st_ctime_ns, ", ".join(sorted(column.name for column in intake.columns))
        kind, loop = intake.kind, intake.loop
        try:
            # Another process waits for the warehouse's file, another thread of this one for the lock.
            with _ONE_AT_A_TIME, self.warehouse.intake() as session:
                known = manifest.known_contents(session.read, kind, loop).get(file_hash)
                if known is not None and not known.comes_again(changed_ns, declared):
                    return FileReport(identity.name, file_hash, kind, loop, 0, 0, 0, 0, {}, {}, already_ingested=True)
                connection = session.connection
                connection.execute("set preserve_insertion_order = false")  # rows carry their line
                for table, columns, where, parameters in refusals.needed(kind, loop, file_hash):
                    session.bring(TABLES[table], columns, where, parameters)
                now, before = self._now(), (0, 0)
                with arrive(
                    connection,
                    path,
                    intake.columns,
                    progress=progress,
                    form=intake.form,
                ) as arrival:
                    if known is not None:
                        if not known.other_columns(declared):
                            arrival = replace(
                                arrival, read=manifest.only_quarantined(connection, file_hash, kind, loop)
                            )
                        before = manifest.taken_out(connection, file_hash, kind, loop)
                    stored = intake.take(session, arrival, file_hash, now, progress)
                reasons, details = manifest.quarantine(connection, file_hash, kind, loop, described=stored.described)
                report = FileReport(
                    name=identity.name,
                    file_hash=file_hash,
                    kind=kind,
                    loop=loop,
                    read=arrival.read,
                    accepted=stored.accepted,
                    duplicates=stored.duplicates,
                    quarantined=sum(reasons.values()),
                    reasons=reasons,
                    turns=stored.turns,
                    ignored=tuple(sorted(set(arrival.found) - {column.name for column in arrival.columns})),
                    came_again=known is not None,
                    details=details,
                )
                manifest.enter(
                    connection,
                    report,
                    identity,
                    now,
                    run_id,
                    changed_ns=changed_ns,
                    declared=declared,
                    before=before,
                )
                if self._identity(path) != identity:
                    raise FileRefusedError("changed while it was read. Write under a name that ends in .partial first.")
        except duckdb.Error as error:
            if path.suffix == ".parquet" and is_damaged(path):
                raise FileRefusedError("is damaged: not all of its rows can be read. Write it again.") from error
            raise
        return report

    def _unknown(self, kind: FileKind, loop: str | None) -> list[Path]:
        """Files that the manifest does not know by name, size and time, oldest first."""
        files = [(self._identity(path), path) for path in self._files(kind, loop)]
        if not files:
            return []
        known = manifest.known_files(self.warehouse.read, kind)
        unknown = [(identity.modified_ns, identity.name, path) for identity, path in files if identity not in known]
        return [path for *_, path in sorted(unknown)]

    @staticmethod
    def _may_bring(path: Path, known: manifest.Known | None) -> bool:
        return known is None or known.comes_again(path.stat().st_ctime_ns)

    def _files(self, kind: FileKind, loop: str | None) -> list[Path]:
        folder = self._folder(kind, loop)
        return [
            path
            for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".partial"
        ]

    def _folder(self, kind: FileKind, loop: str | None) -> Path:
        if kind == "events":
            return self.folder / "events"
        if loop is None:
            raise ValueError(f"Files of {kind} belong to a loop: name it.")
        if kind == "documents":
            return self.folder / kind / loop
        return self.folder / loop / kind

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _identity(self, path: Path) -> Identity:
        stat = path.stat()
        return Identity(self._name(path), stat.st_size, stat.st_mtime_ns)

    def _hash_of(self, path: Path) -> str:
        identity = self._identity(path)
        if identity not in self._hashes:
            with path.open("rb") as file:
                self._hashes[identity] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[identity]


def landing_resource(settings: Settings, warehouse: Warehouse) -> dg.ResourceDefinition:
    """The landing folder for assets and sensors. The key of pseudonyms is looked up, or made, when a run starts."""
    return dg.ResourceDefinition(
        lambda _: Landing(settings.landing, warehouse, Pseudonyms.of(settings), settings),
        description="The folder landing/, and the warehouse that its files go to.",
    )


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be landed: give text, numbers, booleans or moments.")
