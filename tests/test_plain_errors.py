"""What a person reads who typed something that cannot be: a sentence, and nothing is changed."""

import json
import socket
from pathlib import Path

import pytest

from orchestration.commands import errors
from orchestration.testing.command_lines import (
    SERVING,
    Terminal,
    commands,
    faults_of,
    lay_files,
    parameters,
)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with files to read, beside a home in which nothing has been turned."""
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLYWHEEL_PSEUDONYM_KEY", "k" * 32)
    monkeypatch.setattr(errors.tempfile, "tempdir", str(tmp_path))
    return lay_files(tmp_path / "files")


def said(*line: str) -> tuple[int, str]:
    return Terminal().run(line)


def test_no_command_is_left_out_of_the_walk() -> None:
    walked = commands()
    assert {("turn",), ("trace",), ("review", "edit"), ("convert", "ga4"), *SERVING} <= set(walked)
    assert all(parameter.kind for command in walked.values() for parameter in parameters(command))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trace momentum/content/2026-13-26", "'2026-13-26' is no day: name a turn by its first day as YYYY-MM-DD"),
        ("turn yesterday", "'yesterday' is no day"),
        ("turn 2030-01-07", "Turn 2030-01-07 has not begun yet"),
        ("turn 2026-01-07", "No turn starts on 2026-01-07; the weekly turn around it is 2026-01-05."),
        ("rollback content --reason x --to 99", "content-policy/99"),
        ("rollback nosuchloop --reason x", "There is no loop 'nosuchloop'; the loops found are content"),
        ("plan --base-rate 0.04 --units -5", "The number of units must be above 0"),
        ("plan --base-rate 0.04 --units 9 --turns 0", "'--turns'"),
        ("plan --base-rate 2 --units 9", "The base rate is a share between 0 and 1, not 2.0."),
        ("export sft --loop nix", "There is no loop 'nix'"),
        ("demo --turns 0", "'--turns'"),
        ("demo --turns 4000", "FLYWHEEL_FIRST_TURN"),
        ("review approve nix", "No candidate 'nix'"),
        ("convert segment {folder}/empty.ndjson", "empty.ndjson"),
        ("convert segment {folder}/event.ndjson --loop ../../x", "There is no loop '../../x'"),
        ("replay tests --data {folder}/other.csv", "lacks the columns test, started_at, text, units, rewards"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(files: Path, line: str, sentence: str) -> None:
    exit_code, output = said(*line.format(folder=files).split())
    assert exit_code in (1, 2)
    assert sentence in output
    assert len(output.splitlines()) == 1


def test_an_exported_set_that_cannot_be_written_names_the_path(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.commands import exporting

    def lines(*_: object) -> tuple[list[tuple[dict[str, object], dict[str, object]]], bool, str]:
        return [(exporting.supervised([{"role": "user", "content": "x"}], "Beans."), {})], False, ""

    monkeypatch.setattr(exporting, "_KEPT_AS", dict.fromkeys(exporting._KEPT_AS, lines))
    exit_code, output = said("export", "sft", "--loop", "content", "--folder", str(files / "other.csv"))
    assert exit_code == 1
    assert "other.csv" in output
    assert not faults_of(exit_code, output)


@pytest.mark.usefixtures("files")
def test_a_port_that_is_taken_is_named_with_the_option() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        exit_code, output = said("up", "--dagster-port", str(port))
    assert exit_code == 1
    assert output == f"Port {port} is taken: end what serves there, or choose another with --dagster-port."


@pytest.mark.usefixtures("files")
def test_a_bug_is_called_one_and_its_traceback_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.commands import report

    monkeypatch.setattr(report, "turn_lines", lambda _: {}["turn"])
    exit_code, output = said("status")
    assert exit_code == errors.BUG
    assert output.startswith("This is a bug in the flywheel, not in what you asked for: KeyError: 'turn'.")
    kept = Path(output.rsplit(" ", 1)[1].removesuffix("."))
    assert "Traceback (most recent call last)" in kept.read_text()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("raise ValueError('Too small.')", "Too small."),
        ("raise LookupError('Not there.')", "Not there."),
        ("int('x')", None),
        ("{}['x']", None),
        ("raise KeyError('x')", None),
        ("raise StatementError('no such column')", None),
        ("raise WarehouseBusyError('In use.')", "In use."),
        ("open('/nowhere/x')", "'/nowhere/x' cannot be used: no such file or directory."),
    ],
)
def test_only_what_was_raised_for_a_person_is_told(source: str, sentence: str | None) -> None:
    from orchestration.warehouse import protocol

    code = compile(source, str(errors.PACKAGE / "example.py"), "exec")
    with pytest.raises(Exception) as raised:
        exec(code, vars(protocol).copy())
    told = errors.told(raised.value)
    assert told == sentence if sentence is None else str(told).startswith(sentence)


def test_what_a_library_raises_by_itself_is_no_sentence_for_a_person() -> None:
    with pytest.raises(json.JSONDecodeError) as raised:
        json.loads("{")
    assert errors.told(raised.value) is None


def test_a_text_that_no_terminal_can_print_is_spelled_out() -> None:
    assert errors.printable("a\ud83d\x1b[31m\u202e") == "a\\ud83d\\x1b[31m\\u202e"
