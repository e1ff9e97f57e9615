"""Trials in the words of generation: what is asked of a program, what came of it, and who may run it.

Here: `Limits`, `TrialRequest`, `TrialResult`, the protocol `RunsTrials`, and `code_trial` for code under test.
Not here: running anything (the room `orchestration.trials`, which is handed in as a `RunsTrials`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, Protocol

Status = Literal["passed", "failed", "timeout", "out_of_memory", "too_much_output", "killed", "unjudged"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a trial may use. A program that wants more ends, and the result's status says what it wanted.

    `seconds` of wall clock; `memory_mb` of address space, for the one process that a trial is; `threads` in it (new
    processes are refused altogether, which is what makes the other limits totals); `file_mb` and `files` in its
    working folder, which lies in memory beside `memory_mb`; `output_kb` of standard output and error together.
    """

    seconds: float = 5.0
    memory_mb: int = 256
    threads: int = 16
    file_mb: int = 16
    files: int = 256
    output_kb: int = 64

    def __post_init__(self) -> None:
        bounds = {
            "seconds": (0.1, 3600),
            "memory_mb": (64, 65_536),
            "threads": (1, 1024),
            "file_mb": (1, 4096),
            "files": (1, 100_000),
            "output_kb": (1, 16_384),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"Limits({name}={value}) is outside {least:g} to {most:g}: choose a value between.")


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """A program and what it must satisfy.

    `program` is the source of a Python module, never trusted; it may use the standard library.
    `tests` are statements, usually asserts, that call what the program defines; each counts alike.
    `before_tests` is run before each test, for what tests import. `files` lie in the program's working folder, by
    relative path.
    The tests run in another process than the program: arguments and answers cross as plain data (None, bool, numbers,
    str, bytes, list, tuple, set, dict and iterators of these), so that only what an answer is can pass a test.
    """

    program: str
    tests: tuple[str, ...]
    before_tests: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.tests or not all(test.strip() for test in self.tests):
            raise ValueError("A trial needs tests, none of them empty: without one, no program could fail.")
        if len(self.files) > self.limits.files:
            raise ValueError(
                f"{len(self.files)} files are more than Limits(files={self.limits.files}): raise the limit."
            )
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
                raise ValueError(f"The file {name!r} must be a relative path below the working folder, without '..'.")


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What came of a trial.

    `passed`: all tests passed within the limits. `failed`: at least one did not. `timeout`, `out_of_memory`,
    `too_much_output`: a limit was reached first. `killed`: the program died of a signal (a crash counts). `unjudged`:
    the tests themselves could not be run, which says nothing about the program; `failures` says why.
    `score` is the share of tests passed; 0 where the program flooded its output. `output` is what the program wrote,
    cut and printable, and not to be believed. `failures` holds a line for each test that failed, as the judge saw it.
    `seconds` is the wall clock from the program's first statement.
    """

    status: Status
    score: float
    seconds: float
    output: str
    passed_tests: int
    total_tests: int
    failures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.passed_tests <= self.total_tests or not 0 <= self.score <= 1:
            raise ValueError(f"{self.passed_tests} of {self.total_tests} tests with score {self.score} cannot be.")
        if (self.status == "passed") != (self.score == 1):
            raise ValueError(f"The status {self.status!r} contradicts the score {self.score}.")


class RunsTrials(Protocol):
    """Whatever runs programs that are not trusted."""

    def run_all(
        self, requests: Sequence[TrialRequest], progress: Callable[[str], object] | None = None
    ) -> list[TrialResult]:
        """One result for each request, in their order. Raises only where nothing at all can be run."""
        ...


def code_trial(
    source: str,
    tests: Sequence[str] | str,
    *,
    imports: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> TrialRequest:
    """The request for code that must pass tests: assert statements, in a sequence or in one string of one a line.

    `imports` are import statements that the tests need. The score is the share of tests passed.
    """
    lines = [test for test in (tests.splitlines() if isinstance(tests, str) else tests) if test.strip()]
    return TrialRequest(
        program=source,
        tests=tuple(lines),
        before_tests="\n".join(imports),
        files=dict(files or {}),
        limits=limits or Limits(),
    )
