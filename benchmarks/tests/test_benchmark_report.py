"""How benchmarks report."""

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import measured, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    return tmp_path


def test_a_row_holds_medians_their_spread_and_whether_the_goal_holds() -> None:
    row = measured("a turn", [3.0, 1.0, 2.0], "s", peer=[5.0, 4.0], peer_name="other", goal=0.5)
    assert (row.ours, row.low, row.high) == (2.0, 1.0, 3.0)
    assert row.peer == 4.5
    assert row.ratio == pytest.approx(2 / 4.5)
    assert row.holds
    assert not measured("a turn", 2.0, "s", peer=2.0, peer_name="other", goal=0.9).holds
    assert measured("lift", 1.6, "x", peer=1.0, peer_name="other", goal=1.5, better="higher").holds
    assert measured("lost rows", 1, "rows", goal=0).holds is False
    assert measured("seconds", 3.0, "s").holds is None


def test_results_are_files_of_numbers_and_a_table_of_them_all(folder: Path) -> None:
    (folder / "README.md").write_text(f"Before.\n{report.START}\noutdated\n{report.END}\nAfter.\n")
    write("first", [measured("a turn", [1.0, 3.0], "s", peer=4.0, peer_name="bare SQL", goal=1.1)], 12.34)
    write("second", [measured("rows lost", 0, "rows", goal=0)], 1.0)
    document = json.loads((folder / "results" / "first.json").read_text())
    assert set(document) == {"name", "commit", "machine", "seconds", "rows"}
    assert document["seconds"] == 12.3
    assert document["rows"] == [
        {
            "what": "a turn",
            "ours": 2.0,
            "unit": "s",
            "peer": 4.0,
            "peer_name": "bare SQL",
            "ratio": 0.5,
            "goal": 1.1,
            "holds": True,
            "low": 1.0,
            "high": 3.0,
        }
    ]
    page = (folder / "README.md").read_text()
    assert page.startswith("Before.\n")
    assert page.endswith("After.\n")
    assert "outdated" not in page
    assert "| first | a turn | 2 s (1 to 3) | 4 s, bare SQL | 0.5 | 1.1 | yes |" in page
    assert "| second | rows lost | 0 rows |" in page


@pytest.mark.usefixtures("folder")
def test_a_result_does_not_name_the_machine() -> None:
    import platform

    path = write("first", [measured("a turn", 1.0, "s")], 1.0)
    assert platform.node() not in path.read_text()


def test_every_benchmark_can_be_asked_for_by_name() -> None:
    from benchmarks.__main__ import FIRST, names

    assert "generation" in names()
    assert set(names()).isdisjoint({"report", "instant_model"})
    assert names() == sorted(names(), key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
