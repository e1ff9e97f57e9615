"""The README cannot drift from the code: its table of settings, its commands and its map are checked."""

import re
import subprocess
from pathlib import Path

from typer.main import get_command

from orchestration.cli import app
from orchestration.settings import settings_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_settings_are_those_of_the_code() -> None:
    shown = README.split("<!-- settings -->\n")[1].split("\n<!-- /settings -->")[0]
    assert shown == settings_table(), "put the output of `flywheel settings` between the markers"


def test_every_command_named_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"`flywheel (\w+)", README))
    assert named <= set(commands)
    assert {"turn", "status", "trace", "doctor", "review"} <= named


def test_every_path_of_the_map_exists() -> None:
    paths = re.findall(r"^\| `([\w/.]+)` \|", README.split("## The map")[1], re.MULTILINE)
    assert len(paths) >= 9
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_picture_exists() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    assert [path for path in pictures if not (ROOT / path).exists()] == []


def test_nothing_committed_names_a_machine_path_or_a_registry() -> None:
    words = ("/" + "root/", "/" + "work/", "files.python" + "hosted", "pypi." + "org")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    texts = [path for path in map(ROOT.joinpath, filter(None, listed)) if path.is_file() and path.suffix != ".png"]
    assert len(texts) > 50
    assert [path.name for path in texts if any(word in path.read_text() for word in words)] == []
