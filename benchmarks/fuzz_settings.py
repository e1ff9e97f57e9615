"""Settings that nobody would think of: what whoever set them is told.

Here: generating environments, reading them as every command does, and counting what must not happen.
Not here: the other inputs that are generated (fuzz_*), and the report (fuzz).
"""

import contextlib
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestration.settings import Settings
from orchestration.settings_errors import WrongSettingsError, unknown_variables, variable_of

SECRETS = ("OPENAI_API_KEY", "FLYWHEEL_PSEUDONYM_KEY", "FLYWHEEL_WAREHOUSE")
KEY = "sk-not-to-be-shown-4711"
WORDS = (
    "", " ", "0", "-1", "1", "7", "1e308", "1e999", "nan", "inf", "-inf", "9" * 400, "0x10", "1_000", "true", "False",
    "weekly", "daily", "WEEKLY", "2026-01-05", "2026-13-26", "05.01.2026", "9999-12-31", "0001-01-01", "en", "en,de",
    '["en"]', '["en"', "[1]", "{}", "null", '""', "content", "replay", "content,replay", "support>content", "http://",
    "https://127.0.0.1:9/v1", "ftp://x", "postgresql://u:p@127.0.0.1:9/x", "postgresql://", "4GB", "-4GB", "~", "/",
    "/proc/nix", "../..", "a" * 5_000, "a\nb", "\t", "\x1b[31m", "\u202e", "ü", "\ud83d", "'", '"', "$HOME", "%s", "#",
    "=", "\\", "schema", "auto", "none", KEY,
)  # fmt: skip


def fuzz_settings(count: int, seed: int) -> dict[str, int]:
    """Read `count` generated environments.

    `tracebacks`: any other error than the one that settings have; `unnamed`: lines that name no variable that was set;
    `long`: lines over 400 characters; `shown`: the key of a secret in what is told; `unheard`: misspelt variables
    without a line; `read`: environments that were read or refused.
    """
    found: Counter[str] = Counter(read=0, tracebacks=0, unnamed=0, long=0, shown=0, unheard=0)
    variables = [variable_of(name, field) for name, field in Settings.model_fields.items()]
    with tempfile.TemporaryDirectory() as folder, _environment({}, variables):
        for number in range(count):
            values, misspelt, dotenv = environment_of(seed, number, variables)
            file = None
            if dotenv is not None:
                file = Path(folder) / ".env"
                file.write_bytes(dotenv)
            with _environment(values, variables):
                _read(values, misspelt, file, f"settings {number} of seed {seed}", found)
    return dict(found)


def environment_of(seed: int, number: int, variables: list[str]) -> tuple[dict[str, str], list[str], bytes | None]:
    """Variables with their values, misspelt variables, and what a `.env` file holds, where there is one."""
    chance = random.Random(f"{seed}:{number}")
    values = {
        chance.choice(variables): "".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 3)))
        for _ in range(chance.randrange(1, 6))
    }
    misspelt = []
    if chance.random() < 0.3:
        name = chance.choice([each for each in variables if each.startswith("FLYWHEEL_")])
        place = chance.randrange(len("FLYWHEEL_") + 1, len(name))
        misspelt = [f"{name[:place]}X{name[place:]}"]
    dotenv = None
    if chance.random() < 0.3:
        lines = [f"{chance.choice(variables)}={chance.choice(WORDS)}" for _ in range(chance.randrange(4))]
        dotenv = "\n".join(lines).encode("utf-8", "surrogatepass")
        if chance.random() < 0.2:
            dotenv = chance.randbytes(chance.randrange(60))
    return {name: value.replace("\0", "") for name, value in values.items()}, misspelt, dotenv


def _read(values: Mapping[str, str], misspelt: list[str], file: Path | None, what: str, found: Counter[str]) -> None:
    lines: list[str] = []
    try:
        Settings(_env_file=file)
    except WrongSettingsError as fault:
        lines = str(fault).splitlines()
    except Exception as error:
        found["tracebacks"] += 1
        print(f"{what}: {type(error).__name__}: {error}"[:500])
        return
    found["read"] += 1
    named = [*values, ".env", "settings cannot be read"] if file is None else ["FLYWHEEL_", "OPENAI_", ".env"]
    for line in lines:
        found["unnamed"] += not any(name in line for name in named)
        found["long"] += len(line) > 400
        found["shown"] += any(name in line for name in SECRETS) and KEY in line
    told = unknown_variables([*values, *misspelt], Settings.model_fields)
    found["unheard"] += sum(not any(name in line for line in told) for name in misspelt)


@contextlib.contextmanager
def _environment(values: Mapping[str, str], variables: list[str]) -> Iterator[None]:
    """The environment with these of the settings' variables, and none of the others."""
    before = dict(os.environ)
    try:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(
            {
                name: value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
                for name, value in values.items()
            }
        )
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
