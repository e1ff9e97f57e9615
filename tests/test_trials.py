"""Trials: programs nobody vouches for run contained, and pass only by passing."""

import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestration.generation.trials import Limits, TrialRequest, TrialResult, code_trial
from orchestration.testing.hostile import Ground, HostileProgram, hostile_programs
from orchestration.trials import containment, sandbox, watching
from orchestration.trials.containment import Containment, ContainmentUnavailable, containment_problem
from orchestration.trials.inside.wire import decode, encode

SQUARE = "def square(x):\n    return x * x\n"


@pytest.fixture(scope="session", autouse=True)
def contained() -> None:
    """Without bubblewrap these tests skip, and fail in CI."""
    if problem := containment_problem():
        if os.environ.get("CI") == "true":
            pytest.fail(problem)
        pytest.skip(problem)


def trial(program: str, *tests: str, **more: object) -> TrialResult:
    """What comes of one trial."""
    (result,) = Containment().run_all([code_trial(program, tests, **more)])
    return result


# What a trial says


def test_code_that_satisfies_its_tests_passes():
    result = trial(SQUARE, "assert square(3) == 9", "assert square(-1) == 1")
    assert (result.status, result.score, result.passed_tests, result.total_tests) == ("passed", 1.0, 2, 2)
    assert result.failures == ()


def test_the_score_is_the_share_of_tests_passed_and_a_failure_says_what_came_instead():
    result = trial(SQUARE, "assert square(3) == 9", "assert square(2) == 5")
    assert (result.status, result.score) == ("failed", 0.5)
    assert result.failures == ("assert square(2) == 5: got 4",)


def test_code_that_cannot_be_loaded_fails_every_test_with_the_reason():
    result = trial("def square(x) return x", "assert square(1) == 1", "assert square(2) == 4")
    assert (result.status, result.score) == ("failed", 0.0)
    assert all("SyntaxError" in line for line in result.failures)


def test_tests_in_one_string_are_one_a_line():
    assert code_trial(SQUARE, "assert square(1) == 1\n\nassert square(2) == 4\n").tests == (
        "assert square(1) == 1",
        "assert square(2) == 4",
    )


def test_a_test_may_expect_an_exception_and_change_its_own_arguments():
    program = (
        "def sort(numbers):\n    numbers.sort()\n"
        "def root(x):\n    if x < 0:\n        raise ValueError('negative')\n    return x ** 0.5\n"
    )
    expecting = (
        "try:\n    root(-1)\nexcept ValueError as error:\n    assert 'negative' in str(error)\nelse:\n    assert False"
    )
    result = trial(program, "given = [3, 1, 2]; sort(given); assert given == [1, 2, 3]", expecting)
    assert result.status == "passed", result.failures


def test_a_generator_arrives_as_an_iterator_and_what_tests_import_is_theirs():
    program = "def upto(n):\n    yield from range(n)\ndef half(x):\n    return x / 2\nmath = None\n"
    result = trial(
        program, "assert list(upto(3)) == [0, 1, 2]", "assert math.isclose(half(1), .5)", imports=["import math"]
    )
    assert result.status == "passed", result.failures


def test_a_function_that_bears_the_name_of_a_builtin_is_found():
    assert trial("def sum(a, b):\n    return a - b\n", "assert sum(3, 1) == 2").status == "passed"


def test_a_program_reads_the_files_it_was_handed_and_writes_its_own():
    program = "def copy():\n    open('b', 'w').write(open('data/a.txt').read())\n    return open('b').read()\n"
    assert trial(program, "assert copy() == 'hello'", files={"data/a.txt": "hello"}).status == "passed"


def test_what_a_program_prints_is_kept_printable():
    result = trial("print('seen \\x1b[2J')\n" + SQUARE, "assert square(1) == 1")
    assert result.status == "passed"
    assert result.output == "seen \N{REPLACEMENT CHARACTER}[2J\n"


def test_each_limit_has_its_status():
    def ends(body: str) -> str:
        limits = Limits(seconds=1.0, memory_mb=128, output_kb=4)
        return trial(f"def f():\n    {body}\n", "assert f() == 1", limits=limits).status

    assert ends("while True: pass") == "timeout"
    assert ends("return bytearray(1 << 30)") == "out_of_memory"
    assert ends("print('x' * 10_000, flush=True)") == "too_much_output"
    assert ends("import os; os.abort()") == "killed"
    assert ends("return 2") == "failed"


def test_a_program_that_floods_scores_nothing_even_where_it_passes():
    limits = Limits(output_kb=1)
    result = trial("print('x' * 5000, flush=True)\n" + SQUARE, "assert square(1) == 1", limits=limits)
    assert (result.status, result.score) == ("too_much_output", 0.0)


def test_threads_are_as_many_as_allowed():
    program = (
        "import threading\n"
        "def count():\n"
        "    wait, started = threading.Event(), 1\n"
        "    try:\n"
        "        for _ in range(50):\n"
        "            threading.Thread(target=wait.wait, daemon=True).start()\n"
        "            started += 1\n"
        "    except RuntimeError:\n"
        "        pass\n"
        "    wait.set()\n"
        "    return started\n"
    )
    assert trial(program, "assert count() == 8", limits=Limits(threads=8)).failures == ()


def test_broken_tests_fail_with_their_own_error():
    result = trial(SQUARE, "assert square(1) ==", "assert cube(1) == 1")
    assert "SyntaxError" in result.failures[0]
    assert "NameError" in result.failures[1]


def test_results_come_in_the_order_of_the_requests_and_progress_is_told():
    told: list[str] = []
    requests = [code_trial(f"def f():\n    return {number}\n", [f"assert f() == {number % 3}"]) for number in range(9)]
    results = Containment(workers=2).run_all(requests, told.append)
    assert [result.status for result in results] == ["passed"] * 3 + ["failed"] * 6
    assert told[-1] == "9 of 9 trials"


def test_tests_are_not_trusted_either():
    """A test that writes verdicts of its own ends the trial without one."""
    forged = "import os\nfor number in range(3, 4096):\n    try:\n        os.write(number, b'19\\nD2:s4:donec4:True')\n"
    result = trial(SQUARE, forged + "    except OSError:\n        pass", "assert square(2) == 5")
    assert (result.status, result.score) == ("unjudged", 0.0)
    flood = "import os\nwhile True:\n    os.write(1, b'x' * 65536)"
    assert trial(SQUARE, flood, limits=Limits(seconds=1.0)).status == "timeout"
    assert trial(SQUARE, "assert open('/etc/passwd').read()").status == "failed"


def test_the_number_of_processes_is_limited_even_where_the_filter_of_system_calls_fails(monkeypatch):
    """Root's processes have no limit of their own, so a contained program is no root to the kernel."""
    allow_everything = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
    monkeypatch.setattr(watching, "filter_program", lambda: allow_everything)
    program = (
        "import os, time\n"
        "def forks():\n"
        "    for done in range(200):\n"
        "        try:\n"
        "            child = os.fork()\n"
        "        except OSError:\n"
        "            return done\n"
        "        if child == 0:\n"
        "            time.sleep(60)\n"
        "            os._exit(0)\n"
    )
    with Ground() as ground:
        assert trial(program, "assert forks() == 7", limits=Limits(threads=8)).failures == ()
        assert ground.left_behind() == []


# What is refused


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seconds": 0}, "seconds=0"),
        ({"memory_mb": 1}, "memory_mb=1"),
        ({"threads": 0}, "threads=0"),
        ({"output_kb": 10**9}, "choose a value"),
    ],
)
def test_limits_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Limits(**wrong)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "", "."])
def test_files_outside_the_working_folder_are_refused(name):
    with pytest.raises(ValueError, match="relative path"):
        TrialRequest(program="", tests=("assert True",), files={name: ""})


def test_a_trial_without_tests_is_refused():
    with pytest.raises(ValueError, match="needs tests"):
        code_trial(SQUARE, [])


@pytest.mark.parametrize("missing", ["bwrap", "linux", "processor"])
def test_a_machine_that_cannot_contain_refuses_and_runs_nothing(monkeypatch, missing):
    if missing == "bwrap":
        monkeypatch.setattr(containment.shutil, "which", lambda _: None)
    elif missing == "linux":
        monkeypatch.setattr(containment.sys, "platform", "darwin")
    else:
        monkeypatch.setattr(containment, "known_processor", lambda: False)
    monkeypatch.setattr(sandbox.subprocess, "Popen", lambda *_, **__: pytest.fail("something was run"))
    with pytest.raises(ContainmentUnavailable, match=r"apt-get install bubblewrap|run on"):
        Containment().run_all([code_trial(SQUARE, ["assert square(1) == 1"])])


# The wire


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -(2**80), 1.5, float("inf"), 1 + 2j, "text \ud800", b"\0"),
        *([1, [2]], (1, (2,)), {1, 2}, frozenset({1}), {1: (2,), "a": {3}}, range(1, 9, 2)),
    ],
)
def test_plain_data_crosses_unchanged(value):
    arrived = decode(encode(value))
    assert (type(arrived), arrived) == (type(value), value)


def test_what_extends_a_type_crosses_as_that_type_and_what_is_none_equals_nothing():
    class Everything(str):
        def __eq__(self, other: object) -> bool:
            return True

    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

    text, thing = decode(encode([Everything("x"), Anything()]))
    assert (type(text), text != "y") == (str, True)
    assert thing
    assert thing != Anything.__name__


@pytest.mark.parametrize(
    "sent",
    [b"", b"q1:x", b"s9:x", b"s-1:x", b"i1:g", b"D1:i1:1", b"S1:L0:", b"R1:s1:x", b"c4:Nonec4:None", b"L9999999:"],
)
def test_what_is_no_value_is_refused(sent):
    with pytest.raises((ValueError, TypeError, KeyError)):
        decode(sent)


# Programs that mean harm


@pytest.fixture(scope="module")
def ground():
    with Ground() as laid_out:
        yield laid_out


def test_no_hostile_program_gets_through(ground):
    hostile = hostile_programs()
    assert len(hostile) >= 60
    began = time.monotonic()
    results = Containment().run_all([ground.request(one) for one in hostile])
    through = {
        one.name: how for one, result in zip(hostile, results, strict=True) if (how := ground.got_through(result))
    }
    assert through == {}
    assert ground.left_behind() == []
    assert time.monotonic() - began < 120


HARMLESS_UNCONTAINED = (
    *("flywheel_home", "environment", "write_outside"),
    *("tcp", "udp", "unix_socket", "abstract_socket", "web"),
)


@pytest.mark.parametrize("name", HARMLESS_UNCONTAINED)
def test_a_hostile_program_would_get_through_where_nothing_holds_it(name):
    """Otherwise its failing above would prove nothing."""
    (hostile,) = (one for one in hostile_programs() if one.name == name)
    with Ground() as bare:
        assert _uncontained(bare.request(hostile))
        assert bare.left_behind() or name in ("flywheel_home", "environment")


def _uncontained(request: TrialRequest) -> bool:
    """Whether any test passes where program and tests run in one bare process."""
    scripts = (f"{request.program}\n{test}" for test in request.tests)
    bare = [sys.executable, "-I", "-c"]
    return any(
        subprocess.run([*bare, script], check=False, timeout=30, stderr=subprocess.DEVNULL).returncode == 0
        for script in scripts
    )


def test_trials_die_with_whoever_runs_them(tmp_path: Path):
    """Killed in the middle, a run leaves no program behind."""
    with Ground() as ground:
        sleeper: HostileProgram = next(one for one in hostile_programs() if one.name == "deaf_sleeper")
        script = tmp_path / "run.py"
        script.write_text(
            "from orchestration.generation.trials import *\n"
            "from orchestration.trials.containment import Containment\n"
            f"request = TrialRequest(program={sleeper.program!r}, tests=('answer()',), limits=Limits(seconds=60))\n"
            "Containment().run_all([request])\n"
        )
        run = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
        until = time.monotonic() + 60
        while not (running := _runs_a_program(ground)) and time.monotonic() < until:
            time.sleep(0.1)
        assert running
        time.sleep(1)  # past the trial of the containment itself
        assert _runs_a_program(ground)
        run.kill()
        run.wait()
        assert ground.left_behind() == []


def _runs_a_program(ground: Ground) -> bool:
    """Whether Python runs inside, and not only what is still setting a containment up."""
    return any(re.match(r"""\d+ b['"]/.*python""", process) for process in ground.running())


# Published problems


def test_published_reference_solutions_pass(shared_data):
    problems = json.loads((shared_data / "mbpp" / "sanitized-mbpp.json").read_text())[::10]
    requests = [code_trial(one["code"], one["test_list"], imports=one["test_imports"]) for one in problems]
    failed = {
        one["task_id"]: result.failures
        for one, result in zip(problems, Containment().run_all(requests), strict=True)
        if result.status != "passed"
    }
    assert failed == {}
