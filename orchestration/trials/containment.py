"""Trials held by bubblewrap, many at a time; and whether this machine can hold any.

Here: `Containment`, `containment_problem` for `flywheel doctor`, and the refusal that names the remedy.
Not here: one trial (watching), one contained process (sandbox).
"""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path

from orchestration.generation.trials import Limits, TrialRequest, TrialResult, code_trial
from orchestration.trials.sandbox import SandboxError, interpreter
from orchestration.trials.system_calls import known_processor
from orchestration.trials.watching import run_trial


class ContainmentUnavailable(RuntimeError):
    """This machine cannot hold a program that is not trusted; none was run."""


def containment_problem() -> str | None:
    """Why nothing can be contained here, with the remedy; None where a harmless trial came through contained."""
    if sys.platform != "linux":
        return f"Trials are contained by Linux namespaces, and this is {sys.platform}: run on Linux or in a Linux VM."
    if not known_processor():
        return "There is no list of system calls to refuse for this processor: run on x86_64 or aarch64."
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed: `apt-get install bubblewrap` (or your system's package of that name)."
    if not interpreter().exists():
        return f"The Python that programs would run with is not at {interpreter()}: install one with `bin/` and `lib/`."
    if _sysctl("user/max_user_namespaces") == "0":
        return "User namespaces are switched off: `sysctl user.max_user_namespaces=15000` as root."
    if _sysctl("kernel/unprivileged_userns_clone") == "0" and os.geteuid() != 0:
        return "Only root may make user namespaces here: `sysctl kernel.unprivileged_userns_clone=1` as root."
    return _probed(os.geteuid(), shutil.which("bwrap") or "")


@cache
def _probed(user: int, bubblewrap: str) -> str | None:  # noqa: ARG001 - what the answer depends on
    probe = code_trial("def one():\n    return 1\n", ["assert one() == 1"], limits=Limits(seconds=30.0))
    try:
        result = run_trial(probe)
    except SandboxError as error:
        found = str(error)
    else:
        if result.status == "passed":
            return None
        found = " ".join((*result.failures, result.output)).strip() or result.status
    remedy = "allow user namespaces to it"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        remedy = "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root, or give bwrap an AppArmor profile"
    elif Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        remedy = (
            "in a container namespaces and mounts must be allowed: run it with `--security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --cap-add SYS_ADMIN`"
        )
    return f"bubblewrap cannot contain here ({found[:500]}): {remedy}."


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys", name)
    return path.read_text().strip() if path.exists() else None


class Containment:
    """Runs programs that nobody vouches for, `workers` trials at a time (as many as there are cores, if not given).

    Each trial's program has no network, no other process, no file but Python's own and those it was handed, none of the
    environment, and no more of anything than its limits. It leaves nothing behind. Tests may rely on what it answers
    being plain data, and on nothing else.
    """

    def __init__(self, *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"Containment(workers={workers}) runs nothing: give at least one.")
        self._workers = workers or len(os.sched_getaffinity(0))

    def run_all(
        self, requests: Sequence[TrialRequest], progress: Callable[[str], object] | None = None
    ) -> list[TrialResult]:
        """One result for each request, in their order; `progress` is told about every tenth of them.

        Raises ContainmentUnavailable, which names the cause and the remedy, before anything is run.
        """
        if not requests:
            return []
        if problem := containment_problem():
            raise ContainmentUnavailable(problem)
        every = max(1, len(requests) // 10)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="trial") as pool:
            runs = [pool.submit(_run, request) for request in requests]
            for done, _ in enumerate(as_completed(runs), start=1):
                if progress and (done % every == 0 or done == len(runs)):
                    progress(f"{done} of {len(runs)} trials")
            return [run.result() for run in runs]


def _run(request: TrialRequest) -> TrialResult:
    """One trial; where its containment cannot be started although others could, it is left without a verdict."""
    try:
        return run_trial(request)
    except (SandboxError, OSError) as error:
        return TrialResult(
            status="unjudged",
            score=0.0,
            seconds=0.0,
            output="",
            passed_tests=0,
            total_tests=len(request.tests),
            failures=(f"The containment could not be started: {error}",),
        )
