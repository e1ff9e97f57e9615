"""What `flywheel doctor` says of a set-up, and the remedy it names."""

from pathlib import Path

import pytest

from orchestration.commands.doctor import Finding, findings
from orchestration.landing.folder import Landing
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.found import declared_loops
from orchestration.settings import Settings
from orchestration.warehouse.duckdb_file import DuckDBWarehouse


def found(settings: Settings) -> dict[str, Finding]:
    landing = Landing(settings.landing, DuckDBWarehouse(settings.warehouse_path), Pseudonyms(b"k" * 32), settings)
    return {
        finding.check: finding
        for finding in findings(settings, declared_loops(settings.loops, settings.brand_file), landing)
    }


def test_a_fresh_home_needs_nothing_but_subjects(tmp_path: Path) -> None:
    states = {check: finding.state for check, finding in found(Settings(_env_file=None, home=tmp_path)).items()}
    assert "fails" not in states.values()
    assert states["content: subjects"] == "note"


@pytest.mark.parametrize(("same", "state"), [(True, "ok"), (False, "fails")])
def test_a_key_that_earlier_turns_were_not_stored_with_would_split_every_unit_in_two(
    tmp_path: Path, same: bool, state: str
) -> None:
    Pseudonyms.kept_in(tmp_path)
    key = (tmp_path / "pseudonym.key").read_text() if same else "another key of 32 characters or so"
    finding = found(Settings(_env_file=None, home=tmp_path, pseudonym_key=key))["pseudonyms"]
    assert finding.state == state
    if not same:
        assert "pseudonym.key" in finding.remedy
        assert key not in finding.found + finding.remedy


def test_a_file_with_other_columns_is_named_before_a_turn_meets_it(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "content" / "subjects"
    folder.mkdir(parents=True)
    (folder / "catalogue.csv").write_text("sku,name\n1,Milk\n")
    finding = found(Settings(_env_file=None, home=tmp_path))["content: subjects"]
    assert finding.state == "fails"
    assert "subject_id" in finding.remedy
