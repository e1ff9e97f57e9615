"""How rows that arrived are decided on and stored, for each kind of file.

Here: the order in which the statements of `ingestion` run on the warehouse's connection.
Not here: the statements (ingestion), reading the file (landing.landed_rows), the transaction (landing.folder).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from orchestration.landing.addressees import Addressees
from orchestration.landing.landed_rows import Arrival, FileForm, FileRefusedError, Progress
from orchestration.landing.manifest import FileKind
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.landing.rules import (
    Slice,
    Statement,
    documents,
    events,
    exclusions,
    refusals,
    repeats,
    reviews,
    subjects,
    withdrawals,
)
from orchestration.landing.rules.columns import Column
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import IntakeSession

if TYPE_CHECKING:
    import duckdb

MAX_SKEW = timedelta(minutes=5)
"""How far the clock of who sends may be ahead."""


@dataclass(frozen=True)
class Stored:
    """Rows stored, and rows left out because they were known; those stored also by turn, where they have one.
    `described` says that the table `about` tells more of the refused rows."""

    accepted: int
    duplicates: int
    turns: dict[str, int] = field(default_factory=dict)
    described: bool = False


class Intake(Protocol):
    """What to do with the rows of a file in `arrived`. `form` is what is declared of the file beside its columns."""

    @property
    def kind(self) -> FileKind: ...

    @property
    def loop(self) -> str | None: ...

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def form(self) -> FileForm: ...

    def take(
        self,
        session: IntakeSession,
        arrival: Arrival,
        file_hash: str,
        now: datetime,
        progress: Progress,
    ) -> Stored:
        """Leave what is not to be stored in `refused` (_line, problem), and store the rest. Raises FileRefusedError."""


@dataclass(frozen=True)
class EventIntake:
    """Events of all loops."""

    loops: Mapping[str, Loop]
    window: events.Window
    pseudonyms: Pseudonyms
    kind: FileKind = "events"
    loop: str | None = None
    form: FileForm = FileForm()

    @property
    def columns(self) -> tuple[Column, ...]:
        return events.COLUMNS

    def take(
        self,
        session: IntakeSession,
        arrival: Arrival,
        file_hash: str,
        now: datetime,
        progress: Progress,
    ) -> Stored:
        connection = session.connection
        if "variant_id" not in arrival.found and _number(connection, events.EXPOSURES_WITHOUT_ANY_VARIANT):
            raise FileRefusedError(
                f"holds exposures and misses the column 'variant_id' (found: {', '.join(arrival.found)}). "
                "Add or rename it, and land the file again; `flywheel doctor` checks all files."
            )
        self._name_subjects(connection)
        turns = [turn for (turn,) in connection.execute(events.touched_turns(self.window)).fetchall()]
        touched, turn = events.dates_in(turns), self.window.turn
        _run(connection, events.declared(self.loops, self.window))
        _bring(session, events.needed(turns, self.window, self.loops))
        pseudonym, key = self.pseudonyms.sql("unit_id"), self.pseudonyms.parameters
        _run(connection, [events.units(pseudonym, key)])
        progress(f"{_number(connection, 'select count(*) from units'):,} units pseudonymised")
        any_nobody = _number(connection, "select count(*) from units where is_nobody") > 0
        any_served = _number(connection, events.SAYS_WHAT_WAS_SERVED) > 0
        _run(connection, [events.released(turns, self.window, self.loops)])
        _run(connection, [events.served(turns, self.window)] if any_served else [])
        _run(connection, events.refused(self.window, any_nobody, any_served))
        any_refused = _number(connection, "select count(*) from refused") > 0
        _run(connection, repeats.met_again(turn, touched, any_refused))
        any_again = _number(connection, "select count(*) from met_again") > 0
        _run(connection, repeats.told_apart(turn) if any_again else [repeats.NONE_REPEATED])
        duplicates = _number(connection, "select count(*) from repeated")
        any_refused = any_refused or duplicates < _number(connection, "select count(*) from met_again")
        progress(f"{arrival.read:,} events decided on")

        any_left_out = any_refused or duplicates > 0
        accepted = _run(connection, [events.stored(self.window, any_left_out, file_hash, now)])
        progress(f"{accepted:,} events written")
        if any_refused:
            _run(connection, refusals.about(self._usual_turn(session)))
        if _number(connection, f"select count(*) from flywheel.quarantine where {refusals.OPEN}"):
            _run(connection, refusals.mended(file_hash))
        by_turn = connection.execute(*events.stored_by_turn(turns, file_hash)).fetchall()
        return Stored(accepted, duplicates, dict(by_turn), described=any_refused)

    def _usual_turn(self, session: IntakeSession) -> date | None:
        """The turn of rows whose own time says none."""
        usual = session.connection.execute(refusals.usual_turn(self.window.turn)).fetchone()
        return usual[0] if usual else session.read(refusals.NEWEST_TURN).item()

    def _name_subjects(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Put pseudonyms in the place of subjects that are known by theirs, before anything is joined or stored."""
        if not any(loop.subjects.key_is_personal for loop in self.loops.values()):
            return
        pseudonym, key = self.pseudonyms.sql("subject_id"), self.pseudonyms.parameters
        _run(connection, [events.subject_names(self.loops, pseudonym, key)])
        if _number(connection, "select count(*) from subject_names"):
            is_view = _number(
                connection, "select count(*) from duckdb_views() where temporary and view_name = 'arrived'"
            )
            connection.execute(f"alter {'view' if is_view else 'table'} arrived rename to arrived_as_sent")
            connection.execute(events.SUBJECTS_BY_PSEUDONYM)


@dataclass(frozen=True)
class SubjectIntake:
    """Subjects of one loop. `formats` are those that its recipes write; without any, each is taken in."""

    declared: Loop
    formats: tuple[str, ...]
    pseudonyms: Pseudonyms
    addressees: Addressees
    kind: FileKind = "subjects"

    @property
    def loop(self) -> str:
        return self.declared.name

    @property
    def columns(self) -> tuple[Column, ...]:
        return subjects.columns(self.declared.subjects, self.loop)

    @property
    def form(self) -> FileForm:
        return form_of_subjects(self.declared)

    def take(
        self,
        session: IntakeSession,
        arrival: Arrival,
        file_hash: str,
        now: datetime,
        progress: Progress,  # noqa: ARG002
    ) -> Stored:
        connection = session.connection
        pseudonym, key = self.pseudonyms.sql, self.pseudonyms.parameters
        _bring(session, [*subjects.needed(self.loop), withdrawals.needed_of_subjects(self.loop)])
        _run(
            connection,
            subjects.decided(self.loop, self.declared.subjects, self.formats, pseudonym, key, arrival.columns),
        )
        if self.declared.subjects.key_is_personal:
            # Before the rows are kept: whoever is generated for can be answered, and taking in again changes nothing.
            self.addressees.remember(connection.execute(subjects.addressees(self.declared.subjects)).fetchall())
        stored = _stored(connection, subjects.stored(self.loop, file_hash))
        _run(connection, withdrawals.by_column(self.loop, file_hash, now))
        return stored


@dataclass(frozen=True)
class PlainIntake:
    """Rows of one loop or corpus on which statements alone decide: what they read, decide, and store.

    `stored` is given the file's hash and the moment. A corpus stands where others have their loop.
    """

    kind: FileKind
    loop: str
    columns: tuple[Column, ...]
    needed: Sequence[Slice]
    decided: Sequence[Statement]
    stored: Callable[[str, datetime], Sequence[Statement]]
    form: FileForm = FileForm(breaks_in_fields=True)

    def take(
        self,
        session: IntakeSession,
        arrival: Arrival,  # noqa: ARG002
        file_hash: str,
        now: datetime,
        progress: Progress,  # noqa: ARG002
    ) -> Stored:
        _bring(session, self.needed)
        _run(session.connection, self.decided)
        return _stored(session.connection, self.stored(file_hash, now))


def document_intake(corpus: str) -> PlainIntake:
    """Documents of one corpus."""
    return PlainIntake(
        kind="documents",
        loop=corpus,
        columns=documents.COLUMNS,
        needed=documents.needed(corpus),
        decided=documents.decided(corpus),
        stored=lambda file_hash, _: documents.stored(corpus, file_hash),
    )


def review_intake(loop: Loop, latest: datetime, pseudonyms: Pseudonyms) -> PlainIntake:
    """Decisions of people on one loop's candidates, none later than `latest`."""
    return PlainIntake(
        kind="reviews",
        loop=loop.name,
        columns=reviews.COLUMNS,
        needed=reviews.needed(loop.name),
        decided=reviews.decided(loop.name, latest, pseudonyms.sql("reviewer"), pseudonyms.parameters),
        stored=lambda file_hash, _: reviews.stored(loop.name, file_hash),
    )


def withdrawal_intake(loop: Loop, latest: datetime, pseudonyms: Pseudonyms) -> PlainIntake:
    """Withdrawals of what one loop released, none later than `latest`."""
    person, key = pseudonyms.sql("withdrawn_by"), pseudonyms.parameters
    subject = pseudonyms.sql("target_id") if loop.subjects.key_is_personal else None
    return PlainIntake(
        kind="withdrawals",
        loop=loop.name,
        columns=withdrawals.COLUMNS,
        needed=withdrawals.needed(loop.name),
        decided=withdrawals.decided(loop.name, latest, person, subject, key),
        stored=lambda file_hash, _: withdrawals.stored(loop.name, file_hash),
    )


def exclusion_intake(loop: Loop, latest: datetime, pseudonyms: Pseudonyms) -> PlainIntake:
    """Hours of which no event of one loop counts, none asked for later than `latest`."""
    return PlainIntake(
        kind="exclusions",
        loop=loop.name,
        columns=exclusions.COLUMNS,
        needed=[exclusions.needed(loop.name)],
        decided=exclusions.decided(loop.name, latest, pseudonyms.sql("excluded_by"), pseudonyms.parameters),
        stored=lambda file_hash, now: exclusions.stored(loop.name, file_hash, now),
    )


def form_of_subjects(loop: Loop) -> FileForm:
    """How a file of the loop's subjects is read."""
    found = partial(subjects.read_of, loop.subjects, loop.name) if loop.subjects.brings_facts else None
    return FileForm(breaks_in_fields=True, separator=loop.subjects.landed.separator, of_found=found)


def _bring(session: IntakeSession, needed: Iterable[Slice]) -> None:
    for table, columns, where, parameters in needed:
        session.bring(TABLES[table], columns, where, parameters)


def _stored(connection: "duckdb.DuckDBPyConnection", statements: Iterable[Statement]) -> Stored:
    """Store the rows that were decided on; how many there were, and how many had landed before."""
    return Stored(_run(connection, statements), _number(connection, "select count(*) from repeated"))


def _run(connection: "duckdb.DuckDBPyConnection", statements: Iterable[Statement]) -> int:
    """Run them in order; the number of rows that the last one wrote."""
    written = 0
    for sql, parameters in statements:
        counted = connection.execute(sql, parameters).fetchone()
        written = int(counted[0]) if counted else 0
    return written


def _number(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    counted = connection.execute(sql).fetchone()
    return int(counted[0]) if counted else 0
