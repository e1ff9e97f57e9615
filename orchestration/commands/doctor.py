"""Whether this set-up can turn, and what to do where it cannot.

Here: one small check for each thing that can be wrong before a turn starts.
Not here: gates on data (checks) and errors of a run (the run says them).
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestration.commands import connections
from orchestration.commands.finding import Finding as Finding
from orchestration.commands.finding import State
from orchestration.flywheel_file import WrongFlywheelFileError, loops_at, told
from orchestration.landing.folder import Landing
from orchestration.landing.manifest import FileKind
from orchestration.landing.pseudonyms import KEY_FILE
from orchestration.landing.rules.problems import explained
from orchestration.loops.declaration import Loop
from orchestration.loops.found import declared_loops
from orchestration.settings import Settings
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import WarehouseBusyError, WarehouseError

TURNS = """
    select count(distinct turn) from (select turn from flywheel.releases union select turn from flywheel.decisions) as r
"""
ROWS_REMEDY = "Those rows would be quarantined, the others taken in: mend the export, if they are meant to count."


def loops_as_far_as_declared(settings: Settings) -> Sequence[Loop]:
    """The loops that turn here; without what flywheel.toml says where it cannot be read, which a check tells."""
    try:
        return loops_at(settings)
    except WrongFlywheelFileError:
        return declared_loops(settings.loops, settings.brand_file)


def findings(settings: Settings, loops: Sequence[Loop], landing: Landing) -> Iterator[Finding]:
    """Every check in turn. None changes anything or costs anything; the endpoint is asked for its list of models."""
    checks: Sequence[Callable[[], Finding]] = (
        lambda: _home(settings),
        lambda: _first_turn(settings),
        lambda: _flywheel_file(settings),
        lambda: connections.endpoint(settings),
        lambda: _languages(settings, loops),
        lambda: _budget(settings),
        lambda: _pseudonyms(settings),
        lambda: _warehouse(settings),
        lambda: connections.mlflow(settings),
    )
    for check in checks:
        yield check()
    yield from connections.ports()
    yield from _strays(landing, loops)
    yield from _waiting("events", landing, None)
    for loop in loops:
        yield _subjects(settings, loop, landing)
        yield from _waiting("reviews", landing, loop)
        yield from _waiting("withdrawals", landing, loop)
        yield from _waiting("exclusions", landing, loop)
        yield from _corpora(settings, loop, landing)
    if contained := [loop for loop in loops if loop.runs_programs]:
        yield _trials(settings, contained)


def _home(settings: Settings) -> Finding:
    parent = next(path for path in (settings.root, *settings.root.parents) if path.exists())
    if not os.access(parent, os.W_OK):
        return Finding("home", "fails", f"{settings.home} cannot be written", "Set FLYWHEEL_HOME to a folder of yours.")
    free = shutil.disk_usage(parent).free / 2**30
    state: State = "ok" if free > 2 else "fails"
    return Finding(
        "home", state, f"{settings.home}, {free:.0f} GiB free", "Free at least 2 GiB, or move FLYWHEEL_HOME."
    )


def _first_turn(settings: Settings) -> Finding:
    if settings.cadence == "weekly" and settings.first_turn.weekday() != 0:
        return Finding(
            "turns", "note", f"weekly turns start on {settings.first_turn:%A}", "Set FLYWHEEL_FIRST_TURN to a Monday."
        )
    return Finding("turns", "ok", f"{settings.cadence} from {settings.first_turn}")


def _flywheel_file(settings: Settings) -> Finding:
    try:
        loops_at(settings)
        return Finding("flywheel.toml", "ok", told(settings))
    except WrongFlywheelFileError as error:
        return Finding("flywheel.toml", "fails", str(error), "Correct it: nothing turns until then.")


def _languages(settings: Settings, loops: Sequence[Loop]) -> Finding:
    try:
        for loop in loops:
            loop.generation.recipes.for_languages(tuple({*settings.languages, *filter(None, [loop.language])}))
    except ValueError as error:
        return Finding("languages", "fails", str(error), "Change FLYWHEEL_LANGUAGES or add the language to a recipe.")
    local = not (settings.openai_api_key or settings.openai_base_url)
    if local and set(settings.languages) != {"en"}:
        return Finding("languages", "note", ", ".join(settings.languages), "The local model writes English only.")
    return Finding("languages", "ok", ", ".join(settings.languages))


def _budget(settings: Settings) -> Finding:
    remote = settings.openai_api_key or settings.openai_base_url
    if remote and not settings.usd_per_million_input_tokens and settings.budget_tokens is None:
        return Finding(
            "budget",
            "note",
            "no price is set, so the budget in dollars never binds",
            "Set FLYWHEEL_USD_PER_MILLION_INPUT_TOKENS and _OUTPUT_TOKENS, or FLYWHEEL_BUDGET_TOKENS.",
        )
    tokens = f", {settings.budget_tokens:,} tokens" if settings.budget_tokens else ""
    return Finding("budget", "ok", f"${settings.budget_usd:.2f}{tokens} a turn and loop")


def _pseudonyms(settings: Settings) -> Finding:
    if settings.pseudonym_key is None:
        return Finding(
            "pseudonyms",
            "note",
            "the key lies in the home",
            "Set FLYWHEEL_PSEUDONYM_KEY from your secret store, so that who reads the home cannot undo pseudonyms.",
        )
    if len(settings.pseudonym_key.get_secret_value()) < 16:
        return Finding("pseudonyms", "fails", "the key is short", "Use at least 16 random characters.")
    earlier = settings.root / KEY_FILE
    if earlier.exists() and earlier.read_text().strip() != settings.pseudonym_key.get_secret_value():
        return Finding(
            "pseudonyms",
            "fails",
            "the key set is not the one that earlier turns were stored with",
            f"Set FLYWHEEL_PSEUDONYM_KEY to what {KEY_FILE} in the home holds, then delete the file: under another key "
            "every unit would be counted as a new one.",
        )
    return Finding("pseudonyms", "ok", "key from the environment")


def _warehouse(settings: Settings) -> Finding:
    if settings.warehouse is None and not settings.warehouse_path.exists():
        return Finding("warehouse", "ok", "not there yet; the first turn creates it")
    try:
        turns = open_warehouse(settings, 2.0).read(TURNS).item()
    except WarehouseBusyError as error:
        return Finding("warehouse", "note", str(error), "Ask again once that run has ended.")
    except WarehouseError as error:
        return Finding("warehouse", "fails", str(error), "Mend FLYWHEEL_WAREHOUSE, or unset it for a file in the home.")
    return Finding("warehouse", "ok", f"{turns} turns released")


def _subjects(settings: Settings, loop: Loop, landing: Landing) -> Finding:
    check = f"{loop.name}: subjects"
    refused, doubtful = _looked_at(landing, "subjects", loop)
    if refused:
        return Finding(
            check, "fails", "; ".join(refused), f"The columns needed are {', '.join(loop.subjects.needed_as_landed)}."
        )
    if doubtful:
        return Finding(check, "note", "; ".join(doubtful), ROWS_REMEDY)
    files = _files(settings.landing / loop.name / "subjects")
    if not files:
        return Finding(check, "note", "nothing has landed", f"Put a file into landing/{loop.name}/subjects/.")
    return Finding(check, "ok", f"{len(files)} files, columns as declared")


def _strays(landing: Landing, loops: Sequence[Loop]) -> Iterator[Finding]:
    """Files that no run would ever look at."""
    stray = landing.strays([loop.name for loop in loops])
    if stray:
        found = "; ".join(f"{name} {why}" for name, why in stray.items())
        yield Finding("landing folder", "fails", found, "Move each file to the folder that it is meant for.")


def _waiting(kind: FileKind, landing: Landing, owner: Loop | str | None) -> Iterator[Finding]:
    """What the waiting files of a kind would come to, by a sample of each; nothing where none waits."""
    refused, doubtful = _looked_at(landing, kind, owner)
    named = owner.name if isinstance(owner, Loop) else owner
    check = f"{named}: {kind}" if named else kind
    if refused:
        yield Finding(check, "fails", "; ".join(refused), "Mend the file, or take it out of landing/.")
    elif doubtful:
        yield Finding(check, "note", "; ".join(doubtful), ROWS_REMEDY)


def _looked_at(landing: Landing, kind: FileKind, owner: Loop | str | None) -> tuple[list[str], list[str]]:
    """Waiting files that would be refused as a whole, and those that hold rows that cannot be read, each with why."""
    refused, doubtful = [], []
    for name, problem, sample in landing.samples(kind, owner):
        if problem:
            refused.append(f"{name} {problem}")
        elif sample.problems:
            why = ", ".join(f"{count:,} {explained(found)[0]}" for found, count in sample.problems.items())
            doubtful.append(f"{name}: of the first {sample.rows:,} rows, some cannot be read ({why})")
    return refused, doubtful


def _corpora(settings: Settings, loop: Loop, landing: Landing) -> Iterator[Finding]:
    """The documents that the loop's answers rest on. Without any, a turn that has subjects stops."""
    for corpus in loop.generation.corpora:
        check, folder = f"{loop.name}: documents", settings.landing / "documents" / corpus
        yield from _waiting("documents", landing, corpus)
        if files := _files(folder):
            yield Finding(check, "ok", f"{len(files)} files of {corpus!r}")
        else:
            yield Finding(
                check,
                "fails" if _has_subjects(settings, loop) else "note",
                f"no document of {corpus!r} has landed",
                f"Put a file into landing/documents/{corpus}/: answers of {loop.name} rest on it.",
            )


def _trials(settings: Settings, loops: Sequence[Loop]) -> Finding:
    """Whether programs that nobody vouches for can be contained; asked only where a loop runs what answers say."""
    from orchestration.trials.containment import containment_problem

    named = ", ".join(loop.name for loop in loops)
    problem = containment_problem()
    if problem is None:
        return Finding("trials", "ok", f"programs of {named} run contained")
    waits = not any(_has_subjects(settings, loop) for loop in loops)
    found, _, remedy = problem.rpartition(": ")
    return Finding("trials", "note" if waits else "fails", f"nothing can be contained for {named}: {found}", remedy)


def _has_subjects(settings: Settings, loop: Loop) -> bool:
    return bool(_files(settings.landing / loop.name / "subjects"))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
