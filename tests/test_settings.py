"""A wrong setting is one line: the variable, its value, and what is allowed."""

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.settings import Settings
from orchestration.settings_errors import WrongSettingsError, unknown_variables, variable_of

VARIABLES = [variable_of(name, field) for name, field in Settings.model_fields.items()]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FLYWHEEL_CADENCE", "hourly", "FLYWHEEL_CADENCE='hourly': must be 'weekly' or 'daily'."),
        ("FLYWHEEL_SUBJECTS_PER_TURN", "0", "FLYWHEEL_SUBJECTS_PER_TURN='0': must be greater than or equal to 1."),
        ("FLYWHEEL_FIRST_TURN", "2026-13-45", "FLYWHEEL_FIRST_TURN='2026-13-45': must be a valid date"),
        ("FLYWHEEL_BUDGET_USD", "inf", "FLYWHEEL_BUDGET_USD='inf': must be a finite number."),
        ("OPENAI_BASE_URL", "api.example.com", "must be an address that starts with http:// or https://."),
    ],
)
def test_a_wrong_setting_is_one_line_on_the_terminal(monkeypatch, tmp_path, variable, value, said):
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path))
    monkeypatch.setenv(variable, value)
    for command in (["status"], ["doctor"], ["forget"], ["turn", "2026-01-05", "--dry-run"]):
        result = CliRunner().invoke(app, command, input="x\n")
        assert result.exit_code == 1
        assert said in result.output
        assert len(result.output.strip().splitlines()) == 1


def test_every_wrong_setting_is_told_at_once(monkeypatch):
    monkeypatch.setenv("FLYWHEEL_CADENCE", "hourly")
    monkeypatch.setenv("FLYWHEEL_SEED", "seven")
    with pytest.raises(WrongSettingsError) as told:
        Settings(_env_file=None)
    assert [line.partition("=")[0] for line in str(told.value).splitlines()] == ["FLYWHEEL_CADENCE", "FLYWHEEL_SEED"]


def test_the_value_of_a_secret_is_not_repeated():
    with pytest.raises(WrongSettingsError) as told:
        Settings(_env_file=None, pseudonym_key=["hunter2"])
    assert "FLYWHEEL_PSEUDONYM_KEY: " in str(told.value)
    assert "hunter2" not in str(told.value)


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant():
    (said,) = unknown_variables(["FLYWHEEL_CADENSE", "FLYWHEEL_CADENCE", "PATH"], Settings.model_fields)
    assert said.startswith("FLYWHEEL_CADENSE is no setting and has no effect; FLYWHEEL_CADENCE was probably meant.")


@pytest.mark.parametrize("value", ["en,de", " en , de ", '["en", "de"]'])
def test_several_texts_are_parted_at_commas_or_given_as_json(monkeypatch, value):
    monkeypatch.setenv("FLYWHEEL_LANGUAGES", value)
    assert Settings(_env_file=None).languages == ("en", "de")
    monkeypatch.setenv("FLYWHEEL_LANGUAGES", "[en")
    with pytest.raises(WrongSettingsError, match="must be texts separated by commas"):
        Settings(_env_file=None)


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("FLYWHEEL_HOME", "")
    monkeypatch.setenv("FLYWHEEL_BUDGET_TOKENS", "")
    settings = Settings(_env_file=None)
    assert settings.home == Settings.model_fields["home"].default
    assert settings.budget_tokens is None


@given(
    st.dictionaries(
        st.sampled_from(VARIABLES),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    )
)
@example_settings(max_examples=200, deadline=None)
def test_no_text_in_any_variable_is_more_than_lines_that_name_it(values):
    with pytest.MonkeyPatch.context() as patched:
        for variable in VARIABLES:
            patched.delenv(variable, raising=False)
        for variable, value in values.items():
            patched.setenv(variable, value)
        lines = told_of_the_environment()
    assert all(any(variable in line for variable in values) for line in lines)


def told_of_the_environment():
    """What is told of settings in the environment; nothing when all can be."""
    try:
        Settings(_env_file=None)
    except WrongSettingsError as fault:
        return str(fault).splitlines()
    return []
