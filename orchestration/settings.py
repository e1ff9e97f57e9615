"""Every setting of the flywheel, typed and documented one by one.

Here: what an operator may change, read from the environment and `.env`, and the paths that follow from it.
Not here: what a loop is (loops), options of one command (cli), anything a turn computes.
"""

import hashlib
import json
import os
import re
import tempfile
from contextlib import suppress
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from orchestration.model.local_weights import LocalModelName
from orchestration.settings_errors import WrongSettingsError, variable_of, wrong_settings


def _parted(value: object) -> object:
    """A JSON list as it is, any other text parted at its commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be texts separated by commas, or a JSON list of texts") from None
    return [each.strip() for each in value.split(",") if each.strip()]


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parted)]
"""Several texts of one variable: `en,de`, or as JSON."""

PLAIN = re.compile(r"[\w ./+=,@~-]+")
"""Paths that every library takes for what they are."""
DEFINES_HOME: dict[str, JsonValue] = {"defines_home": True}
"""Marks a setting under which a home is set up: on a home that has turns another value is refused (home_settings)."""


class Settings(BaseSettings):
    """Settings from `FLYWHEEL_*` variables and `.env`; the endpoint's from the usual `OPENAI_*` ones.

    An empty variable counts as unset. Raises WrongSettingsError, a line for each setting that cannot be.
    """

    model_config = SettingsConfigDict(
        env_prefix="FLYWHEEL_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as fault:
            raise wrong_settings(fault, type(self).model_fields) from None
        except (SettingsError, UnicodeDecodeError, OSError) as fault:
            raise WrongSettingsError(f"The settings cannot be read: {fault}. Correct .env, or the variable.") from None

    home: Path = Field(Path("var/demo"), description="Folder that holds everything a flywheel keeps.")
    first_turn: date = Field(
        date(2026, 1, 5),
        description="First day of the first turn; a Monday for weekly turns.",
        json_schema_extra=DEFINES_HOME,
    )
    cadence: Literal["weekly", "daily"] = Field(
        "weekly", description="Length of a turn.", json_schema_extra=DEFINES_HOME
    )
    seed: int = Field(
        7,
        description="Seed of every random choice; the same seed and input give the same rows.",
        json_schema_extra=DEFINES_HOME,
    )

    loops: Listed = Field(
        (), description="Loops that turn, of those found; all that need no command of their own when unset."
    )
    feeds_off: Listed = Field(
        (), description="Hand-overs between loops that are switched off, each as `SOURCE>RECEIVER`."
    )
    planned_turns: int | None = Field(
        None,
        ge=1,
        description="Turns against one champion after which evidence is to be in (group-sequential bounds: earlier "
        "proof, none later); looking goes on for ever when unset (a confidence sequence).",
    )
    planned_lift: float = Field(
        0.3, gt=0, description="Largest lift to be believed: no promotion on fewer units than seeing that much takes."
    )

    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="Key of the endpoint; never logged or stored."
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias="OPENAI_BASE_URL",
        description="Any OpenAI-compatible endpoint. With neither key nor address, a local model is served.",
    )
    model: str | None = Field(None, description="Model name; the endpoint's default when there is exactly one.")
    local_model: LocalModelName = Field(
        "qwen2.5-1.5b",
        description="The model served where there is neither key nor address; the other one is faster, and writes "
        "what nobody would publish.",
    )
    max_concurrency: int = Field(16, ge=1, description="Requests in flight at once.")
    request_timeout_s: float = Field(60.0, gt=0, description="Seconds until one request is given up.")
    max_retries: int = Field(4, ge=0, description="Retries of the SDK on 408, 409, 429 and 5xx.")
    budget_usd: float = Field(5.0, ge=0, description="Most that one turn of one loop may spend, in US dollars.")
    budget_tokens: int | None = Field(None, ge=0, description="Most tokens that one turn of one loop may use.")
    usd_per_million_input_tokens: float = Field(0.0, ge=0, description="Price used for costs and for the budget.")
    usd_per_million_output_tokens: float = Field(0.0, ge=0, description="Price used for costs and for the budget.")
    structured_output: Literal["auto", "schema", "text"] = Field(
        "auto", description="Whether answers are asked for by JSON schema; `auto` finds out what the endpoint can do."
    )
    batch_from: int | None = Field(
        None, ge=1, description="Calls from which a turn uses the endpoint's Batch API; never when unset."
    )
    batch_price: float = Field(0.5, ge=0, le=1, description="Share of the price that a batched token costs.")
    batch_wait_s: float = Field(
        86400.0, ge=0, description="Seconds to wait for a batch; the next run collects it then."
    )

    subjects_per_turn: int = Field(48, ge=1, description="Most subjects that one turn of one loop generates for.")
    best_of: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Most drafts of one answer, of which the best is kept, in loops that say what is best; "
        "when unset 2 by the local model and 1 by an endpoint, which charges for each.",
    )
    languages: Listed = Field(
        ("en",),
        min_length=1,
        description="Languages to generate in, as ISO 639-1 codes: `en,de`; the first for subjects that name none.",
    )
    brand_file: Path | None = Field(None, description="TOML file of banned claims; the shipped one when unset.")
    config: Path | None = Field(
        None,
        description="TOML file that maps your own columns and says which are facts; `flywheel.toml` in the project's "
        "folder when unset.",
    )
    pseudonym_key: SecretStr | None = Field(
        None,
        description="Key of the hash that replaces customer identifiers; made once under home when unset.",
        json_schema_extra=DEFINES_HOME,
    )
    warehouse: SecretStr | None = Field(
        None,
        description="Address of a Postgres database, `postgresql://USER:PASSWORD@HOST/DATABASE`; a DuckDB file under "
        "home when unset. Never logged or stored.",
    )
    warehouse_memory: str = Field("4GB", description="Most memory that the DuckDB file takes while KPIs are computed.")
    mlflow_ui: str = Field("http://127.0.0.1:5000", description="Where the MLflow UI is served, for links to runs.")
    trace_calls: bool = Field(
        True, description="Whether each call of the language model is traced to MLflow, its prompt shortened."
    )
    keep_turns: int | None = Field(
        None,
        ge=1,
        description="Newest turns whose rows, files and runs are kept, with what they rest on; everything when unset.",
    )
    lock_timeout_s: float = Field(60.0, gt=0, description="Seconds to wait while another process holds the warehouse.")

    @field_validator("warehouse", mode="before")
    @classmethod
    def _none_when_empty(cls, address: object) -> object:
        return address or None  # what is wrong with an address is told where it is opened: here, it would be shown

    @field_validator("openai_base_url", "mlflow_ui")
    @classmethod
    def _is_address(cls, address: str | None) -> str | None:
        if address and not address.startswith(("http://", "https://")):
            raise ValueError("must be an address that starts with http:// or https://")
        return address

    @property
    def drafts_of_an_answer(self) -> int:
        """Most drafts of one answer: as set, else several only where none is paid for."""
        if self.best_of is not None:
            return self.best_of
        return 1 if self.openai_api_key or self.openai_base_url else 2

    @cached_property
    def root(self) -> Path:
        """The home as an absolute path; relative ones start at the project's folder, wherever a command runs."""
        home = self.home if self.home.is_absolute() else Path(__file__).resolve().parent.parent / self.home
        return plainly_named(home.resolve())

    @classmethod
    def defining(cls) -> list[str]:
        """Names of the settings that define a home."""
        return [name for name, field in cls.model_fields.items() if field.json_schema_extra == DEFINES_HOME]

    @property
    def warehouse_path(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def addressees_path(self) -> Path:
        return self.root / "addressees.sqlite"

    @property
    def responses_path(self) -> Path:
        return self.root / "responses.sqlite"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def dagster_home(self) -> Path:
        return self.root / "dagster"


def plainly_named(folder: Path) -> Path:
    """The folder itself, or a link to it where its path holds characters that a library would read as something else.

    SQLAlchemy and dbt take a path for an address (`?`, `#`, `%`), DuckDB for one with options (`?`), Dagster for a
    pattern (`*`, `[`). All of them are given one plain path instead, which follows from the folder's own.
    """
    if PLAIN.fullmatch(str(folder)):
        return folder
    name = f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]}-{os.getuid()}"
    for place in (Path.home() / ".cache" / "flywheel", Path(tempfile.gettempdir())):
        link = place / name
        if not PLAIN.fullmatch(str(link)):
            continue
        try:
            place.mkdir(parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                link.symlink_to(folder, target_is_directory=True)
            if link.lstat().st_uid == os.getuid() and link.samefile(folder):
                return link
        except OSError:  # nothing can be written there
            continue
    return folder


def settings_table() -> str:
    """Every setting as a Markdown table: variable, default, meaning. The README holds it between markers."""
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = variable_of(name, field)
        default = "" if field.default is None else field.default
        shown = ", ".join(default) if isinstance(default, tuple) else str(default)
        lines.append(f"| `{variable}` | {f'`{shown}`' if shown else ''} | {field.description} |")
    return "\n".join(lines)
