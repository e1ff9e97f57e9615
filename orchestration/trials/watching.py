"""One trial from start to verdict: two containments, the pipes between them, and the clock.

Here: `run_trial`, and how its end is told. Not here: what holds a process (sandbox), many trials at once (containment).

The program runs in one containment, its tests in another. Between them go calls and plain data. Verdicts leave the
tests' containment by a pipe that the program's never had, so what a program writes, closes, patches or kills on its own
side can spoil an answer but not make a verdict. What it writes to its output is read up to the limit and no further.
"""

import contextlib
import os
import selectors
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestration.generation.trials import Status, TrialRequest, TrialResult
from orchestration.trials.inside.wire import decode
from orchestration.trials.sandbox import Sandbox
from orchestration.trials.system_calls import filter_program

_SECONDS_TO_START = 60.0
_JUDGE_OUTPUT = 16 * 1024
_FIRST_SIGNAL, _SIGXCPU = 128, 24
# The judge needs room for the tests and for answers on top of what a program may take.
_JUDGE_LIMITS = {"threads": 1, "file_mb": 1, "files": 8}


@dataclass
class _Seen:
    """What has been read so far."""

    output: bytearray = field(default_factory=bytearray)
    judge_output: bytearray = field(default_factory=bytearray)
    verdicts: bytearray = field(default_factory=bytearray)
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    gone: bool = False
    started: float | None = None
    ended: Status | None = None


def run_trial(request: TrialRequest) -> TrialResult:
    """Run one trial. Raises SandboxError where the machine cannot start a containment."""
    limits = asdict(request.limits)
    common: dict[str, Any] = {"filter": filter_program()}
    program = {**common, "limits": limits, "files": dict(request.files), "program": request.program}
    judge = {**common, "limits": {**limits, **_JUDGE_LIMITS}, "files": {}}
    judge |= {"tests": list(request.tests), "before_tests": request.before_tests}
    seen = _Seen()
    with contextlib.ExitStack() as held:
        calls, answers, output, verdicts, judge_output = (_Pipe(held) for _ in range(5))
        ours = held.enter_context(_Ending())
        ours.sandboxes.append(
            Sandbox("program", program, pipes=[calls.out, answers.into], output=output.into),
        )
        ours.sandboxes.append(
            Sandbox("judge", judge, pipes=[answers.out, calls.into, verdicts.into], output=judge_output.into)
        )
        for theirs in (calls.out, calls.into, answers.out, answers.into, output.into, verdicts.into, judge_output.into):
            os.close(theirs)
        _watch(request, seen, output=output.out, verdicts=verdicts.out, judge_output=judge_output.out)
        seconds = 0.0 if seen.started is None else time.monotonic() - seen.started
        returned = ours.sandboxes[0].returned(1.0 if seen.gone else 0.0) if seen.ended is None else None
        ours.end()
        _drain(seen.output, output.out, request.limits.output_kb * 1024 + 1)
        _drain(seen.judge_output, judge_output.out, _JUDGE_OUTPUT)
    return _result(request, seen, seconds, returned)


class _Pipe:
    """A pipe whose two ends are closed at the latest when the trial is over."""

    def __init__(self, held: contextlib.ExitStack) -> None:
        self.out, self.into = os.pipe()
        for end in (self.out, self.into):
            held.callback(_closed, end, os.fstat(end).st_ino)


def _closed(end: int, inode: int) -> None:
    """Close `end` unless it has been closed, and its number perhaps given away, before."""
    with contextlib.suppress(OSError):
        if os.fstat(end).st_ino == inode:
            os.close(end)


class _Ending:
    """Ends what was started, whatever happens in between."""

    def __init__(self) -> None:
        self.sandboxes: list[Sandbox] = []

    def __enter__(self) -> "_Ending":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        for sandbox in self.sandboxes:
            sandbox.end()


def _watch(request: TrialRequest, seen: _Seen, *, output: int, verdicts: int, judge_output: int) -> None:
    """Read until all verdicts are there, a limit is reached or the judge has gone."""
    most = request.limits.output_kb * 1024
    must_start = time.monotonic() + _SECONDS_TO_START
    with selectors.DefaultSelector() as waiting:
        for end in (output, verdicts, judge_output):
            waiting.register(end, selectors.EVENT_READ)
        while True:
            until = must_start if seen.started is None else seen.started + request.limits.seconds
            if (left := until - time.monotonic()) <= 0:
                seen.ended = "unjudged" if seen.started is None else "timeout"
                return
            for key, _ in waiting.select(left):
                more = os.read(key.fd, 65_536)
                if key.fd == verdicts:
                    if not more or _take_verdicts(seen, more):
                        return
                elif not more:
                    waiting.unregister(key.fd)
                elif key.fd == output:
                    seen.output += more
                    if len(seen.output) > most:
                        seen.ended = "too_much_output"
                        return
                else:
                    seen.judge_output += more[: _JUDGE_OUTPUT - len(seen.judge_output)]


def _take_verdicts(seen: _Seen, more: bytes) -> bool:
    """Count what the judge says; whether it has said everything."""
    seen.verdicts += more
    while (said := _next_frame(seen.verdicts)) is not None:
        if "started" in said:
            seen.started = time.monotonic()
        elif "done" in said:
            return True
        else:
            seen.passed += said["passed"]
            seen.gone |= said["gone"]
            if not said["passed"]:
                seen.failures.append(said["said"])
                seen.kinds.add(said["kind"])
    return False


def _next_frame(read: bytearray) -> dict[str, Any] | None:
    """Take the first frame away from what has been read; None where it is not whole yet."""
    header, line_end, _ = bytes(read[:32]).partition(b"\n")
    if not line_end or len(read) < (end := len(header) + 1 + int(header)):
        return None
    said: dict[str, Any] = decode(bytes(read[len(header) + 1 : end]))
    del read[:end]
    return said


def _drain(read: bytearray, end: int, most: int) -> None:
    """What is left in a pipe whose writers are dead."""
    while len(read) < most and (more := os.read(end, most - len(read))):
        read += more


def _result(request: TrialRequest, seen: _Seen, seconds: float, returned: int | None) -> TrialResult:
    total = len(request.tests)
    judged = seen.passed + len(seen.failures) == total
    status = seen.ended or _status(request, seen, judged, returned)
    failures = list(seen.failures)
    if len(seen.output) > request.limits.output_kb * 1024 and status not in ("unjudged", "timeout"):
        status = "too_much_output"
    if status == "unjudged":
        failures.append(f"The tests could not be run: {_printable(seen.judge_output) or 'the judge did not start'}")
    shown = _printable(seen.output[: request.limits.output_kb * 1024])
    return TrialResult(
        status=status,
        score=0.0 if status in ("unjudged", "too_much_output") else seen.passed / total,
        seconds=seconds,
        output=shown,
        passed_tests=seen.passed,
        total_tests=total,
        failures=tuple(_printable(line.encode()) for line in failures),
    )


def _status(request: TrialRequest, seen: _Seen, judged: bool, returned: int | None) -> Status:
    if not judged:
        return "unjudged"
    if seen.passed == len(request.tests):
        return "passed"
    if returned is not None and returned > _FIRST_SIGNAL:
        return "timeout" if returned == _FIRST_SIGNAL + _SIGXCPU else "killed"
    return "out_of_memory" if "MemoryError" in seen.kinds else "failed"


def _printable(raw: bytes | bytearray) -> str:
    """Text without anything that a terminal or a page would obey."""
    text = bytes(raw).decode("utf-8", "replace").replace("\r\n", "\n")
    return "".join(char if char in "\n\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
