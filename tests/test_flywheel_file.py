"""flywheel.toml: what it may say, what is said of what it may not, and that files are read by it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.commands.doctor import findings, loops_as_far_as_declared
from orchestration.flywheel_file import WrongFlywheelFileError, file_of, loops_at, read
from orchestration.landing.folder import Landing
from orchestration.landing.manifest import RefusedFilesError
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.content import declare
from orchestration.settings import Settings
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

MAPPED = """
[loops.content.subjects]
columns = { subject_id = "SKU", original = "Beschreibung", category = "Warengruppe", size = "Größe" }
facts = ["Material", "size"]
language = "Sprache"
format = "headline"
"""


def at(tmp_path: Path, said: str) -> Settings:
    file = tmp_path / "own.toml"
    file.write_text(said, encoding="utf-8")
    return Settings(_env_file=None, home=tmp_path / "home", config=file, pseudonym_key="k" * 32)


def landing_of(settings: Settings) -> Landing:
    warehouse = DuckDBWarehouse(settings.warehouse_path)
    return Landing(settings.landing, warehouse, Pseudonyms(b"k" * 32), settings)


def landed(settings: Settings, text: str, name: str = "katalog.csv", encoding: str = "utf-8") -> Landing:
    folder = settings.landing / "content" / "subjects"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding=encoding)
    return landing_of(settings)


def test_without_the_file_every_loop_is_as_it_declares_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(_env_file=None, home=tmp_path)
    assert file_of(settings) is None
    assert loops_at(settings)[0].subjects == declare().subjects
    (tmp_path / "flywheel.toml").write_text(MAPPED, encoding="utf-8")
    assert loops_at(settings)[0].subjects.facts == ("Material", "size")


def test_a_file_of_its_own_words_lands_as_declared_whatever_its_encoding(tmp_path: Path) -> None:
    settings = at(tmp_path, MAPPED)
    (loop,) = loops_at(settings)
    rows = "SKU;Beschreibung;Warengruppe;Größe;Material;Sprache;Lager\n"
    rows += "1;Ein Hemd;Hemden;M;Leinen;de;7\n2;A shirt;Hemden;L;linen;;7\n"
    landing = landed(settings, rows, encoding="cp1252")

    (report,) = landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)

    assert (report.accepted, report.ignored) == (2, ("Lager",))
    kept = "select subject_id, format, category, original, language, facts from flywheel.landed_subjects order by 1"
    first, second = landing.warehouse.read(kept).rows()
    assert first == ("1", "headline", "Hemden", "Ein Hemd", "de", '{"Material":"Leinen","size":"M"}')
    assert second[4] is None


def test_a_declared_fact_that_the_file_lacks_is_asked_for_with_both_remedies(tmp_path: Path) -> None:
    settings = at(tmp_path, '[loops.content.subjects]\nfacts = ["brand", "size"]\n')
    (loop,) = loops_at(settings)
    landing = landed(settings, "subject_id,format,category,original,brand\n1,headline,c,o,b\n")
    with pytest.raises(RefusedFilesError) as refused:
        landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)
    assert (
        "misses the column 'size' (found: subject_id, format, category, original, brand). Add it, or map it under "
        "[loops.content.subjects] in flywheel.toml; `flywheel doctor` checks all files." in str(refused.value)
    )


def test_a_row_is_refused_under_the_name_that_its_file_gives_the_column(tmp_path: Path) -> None:
    settings = at(tmp_path, MAPPED)
    landing = landed(settings, "SKU,Beschreibung,Warengruppe,Größe,Material\n1,,Hemden,M,Leinen\n")
    (report,) = landing.ingest_subjects(loops_at(settings)[0], run_id="run", progress=lambda _: None)
    assert report.reasons == {"missing_Beschreibung": 1}


def test_a_separator_that_is_declared_decides(tmp_path: Path) -> None:
    settings = at(tmp_path, '[loops.content.subjects]\nseparator = "^"\nformat = "social"\nlanguage = "fr-CA"\n')
    (loop,) = loops_at(settings)
    landing = landed(settings, "subject_id^category^original^note, long\n1^c^o^a, b\n")
    landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)
    assert loop.language == "fr"
    facts = landing.warehouse.read("select format, facts from flywheel.landed_subjects").row(0)
    assert facts == ("social", '{"category":"c","note, long":"a, b"}')


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("loops = 1", "[loops] must be a table, not 1."),
        ("[loop.content]", "'loop' is no key; 'loops' was probably meant."),
        ("[loops.contents.subjects]", "[loops]: 'contents' is no loop; 'content' was probably meant."),
        ("[loops.zzz.subjects]", "[loops]: 'zzz' is no loop; there are content, replay."),
        ("[loops.content.subject]", "[loops.content]: 'subject' is no key; 'subjects' was probably meant."),
        ("[loops.content.subjects]\nfact = []", "'fact' is no key; 'facts' was probably meant."),
        ('[loops.content.subjects]\nfacts = "size"', "facts must be a list of different column names, not 'size'."),
        ('[loops.content.subjects]\nfacts = ["a", "a"]', "facts must be a list of different column names, not"),
        ("[loops.content.subjects]\nfacts = []", "facts must be a list of different column names, not []."),
        (
            '[loops.content.subjects]\ncolumns = ["SKU"]',
            "columns must be a table from declared columns to the file's own",
        ),
        ("[loops.content.subjects]\ncolumns = { size = 3 }", "columns must be a table from declared columns"),
        ('[loops.content.subjects]\ncolumns = { orignal = "Text" }', "'orignal' is no column; 'original' was probably"),
        ('[loops.content.subjects]\nseparator = ";;"', "separator must be one character, such as \";\", not ';;'."),
        ("[loops.content.subjects]\nlanguage = 4", 'language must be an ISO 639-1 code such as "de", or the name of a'),
        (
            '[loops.content.subjects]\nformat = "banner"',
            "no recipe writes 'banner'; name one of description, headline, social",
        ),
        ('[loops.content.subjects]\nfacts = ["a"]\nshown = ["b"]', "`shown` names 'b', which `facts` does not"),
        ("[loops.content.subjects", "is no TOML: "),
    ],
)
def test_what_is_wrong_with_the_file_is_one_sentence_that_names_the_place_and_the_remedy(
    tmp_path: Path, said: str, message: str
) -> None:
    settings = at(tmp_path, said)
    with pytest.raises(WrongFlywheelFileError) as wrong:
        loops_at(settings)
    assert message in str(wrong.value)
    assert str(wrong.value).startswith(str(settings.config))
    assert "\n" not in str(wrong.value)


def test_doctor_shows_the_file_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    def finding(settings: Settings) -> tuple[str, str]:
        loops = loops_as_far_as_declared(settings)
        return next(
            (f.state, f.found) for f in findings(settings, loops, landing_of(settings)) if f.check == "flywheel.toml"
        )

    state, found = finding(at(tmp_path, MAPPED))
    assert state == "ok"
    assert found.endswith("own.toml: content (columns, facts, language, format)")
    state, found = finding(at(tmp_path, "[loops.content.subjects]\nfact = []"))
    assert (state, "'facts' was probably meant" in found) == ("fails", True)


def test_a_command_says_what_is_wrong_with_the_file_and_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLYWHEEL_CONFIG", str(tmp_path / "none.toml"))
    said = CliRunner().invoke(app, ["ingest"])
    assert said.exit_code == 1
    assert said.stderr.strip().endswith("none.toml, which is no file: write it, or unset the variable.")
    assert len(said.stderr.strip().splitlines()) == 1


def test_the_example_of_the_readme_is_a_file_that_can_be_used(tmp_path: Path) -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    settings = at(tmp_path, example)
    assert set(read(settings.config or tmp_path)) == {"content"}
    assert loops_at(settings)[0].language == "de"
