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
from typing import IO, Any

from orchestration.generation.trials import Status, TrialRequest, TrialResult
from orchestration.trials.inside.wire import decode
from orchestration.trials.sandbox import Sandbox, pipe
from orchestration.trials.system_calls import filter_program

_SECONDS_TO_START = 60.0
_JUDGE_OUTPUT = 16 * 1024
_LONGEST_VERDICT = 64 * 1024
_LONGEST_FAILURE = 2000
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
        calls, answers, output, verdicts, judge_output = (pipe(held) for _ in range(5))
        tried = Sandbox("program", program, pipes=[calls[0], answers[1]], output=output[1])
        held.callback(tried.end)
        judging = Sandbox("judge", judge, pipes=[answers[0], calls[1], verdicts[1]], output=judge_output[1])
        held.callback(judging.end)
        for theirs in (*calls, *answers, output[1], verdicts[1], judge_output[1]):
            theirs.close()
        _watch(request, seen, output=output[0], verdicts=verdicts[0], judge_output=judge_output[0])
        seconds = 0.0 if seen.started is None else time.monotonic() - seen.started
        returned = tried.returned(1.0 if seen.gone else 0.0) if seen.ended is None else None
        tried.end()
        judging.end()
        _drain(seen.output, output[0].fileno(), request.limits.output_kb * 1024 + 1)
        _drain(seen.judge_output, judge_output[0].fileno(), _JUDGE_OUTPUT)
    return _result(request, seen, seconds, returned)


def _watch(
    request: TrialRequest, seen: _Seen, *, output: IO[bytes], verdicts: IO[bytes], judge_output: IO[bytes]
) -> None:
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
                if key.fileobj is verdicts:
                    if not more or _take_verdicts(seen, more, len(request.tests)):
                        return
                elif not more:
                    waiting.unregister(key.fileobj)
                elif key.fileobj is output:
                    seen.output += more
                    if len(seen.output) > most:
                        seen.ended = "too_much_output"
                        return
                else:
                    seen.judge_output += more[: _JUDGE_OUTPUT - len(seen.judge_output)]


def _take_verdicts(seen: _Seen, more: bytes, tests: int) -> bool:
    """Count what the judge says; whether it has said everything. Tests are not trusted either: whatever else they may
    send on this pipe ends the trial without a verdict."""
    seen.verdicts += more
    try:
        while (said := _next_frame(seen.verdicts)) is not None:
            if "started" in said:
                seen.started = time.monotonic()
            elif "done" in said:
                return True
            else:
                passed = said["passed"] is True
                seen.passed += passed
                seen.gone |= said["gone"] is True
                if not passed:
                    seen.failures.append(str(said["said"])[:_LONGEST_FAILURE])
                    seen.kinds.add(str(said["kind"]))
            if seen.passed + len(seen.failures) > tests:
                raise ValueError("more verdicts than tests")
    except (ValueError, TypeError, KeyError, RecursionError):
        seen.ended = "unjudged"
        seen.judge_output += b"The judge answered something that is no verdict."
        return True
    return False


def _next_frame(read: bytearray) -> dict[str, Any] | None:
    """Take the first frame away from what has been read; None where it is not whole yet."""
    header, line_end, _ = bytes(read[:16]).partition(b"\n")
    if not line_end and len(read) < 16:
        return None
    if not 0 <= (length := int(header)) <= _LONGEST_VERDICT:
        raise ValueError("a verdict that is too long")
    if len(read) < (end := len(header) + 1 + length):
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
        passed_tests=0 if status == "unjudged" else seen.passed,
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
