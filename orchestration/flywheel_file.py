"""flywheel.toml: what a user's own files are like, loop by loop, without touching a declaration.

Here: finding the file, reading it, saying in a sentence what is wrong with it, and the loops as it declares them.
Not here: the loops themselves (loops), reading landed files (landing), settings of a home (settings).

    [loops.content.subjects]
    columns = { subject_id = "SKU", original = "Beschreibung", category = "Warengruppe" }  # declared -> the file's own
    facts = ["Material", "Farbe", "price"]  # what the file brings and an answer may use; a column of every file then
    shown = ["Material", "Farbe"]           # which of them a model sees; all when left out
    language = "de"                         # what subjects are written in, or the column that says it
    separator = ";"                         # of CSV; found out when left out
    format = "headline"                     # of rows that name none
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.loops.as_landed import AsLanded
from orchestration.loops.declaration import Loop, Subjects
from orchestration.loops.found import declared_loops, found_loops
from orchestration.settings import Settings

NAME = "flywheel.toml"
PROJECT = Path(__file__).resolve().parent.parent
_LANGUAGE = re.compile(r"[a-z]{2}([-_][A-Za-z]{2,4})?")

Declared = Mapping[str, Mapping[str, Any]]
"""What stands under [loops.NAME.subjects], by the loop's name."""


class WrongFlywheelFileError(ValueError):
    """flywheel.toml cannot be what it is: one sentence with the place, the cause and the remedy."""


def file_of(settings: Settings) -> Path | None:
    """The file in force: that of FLYWHEEL_CONFIG, or flywheel.toml where a command runs or in the project's folder.

    Raises WrongFlywheelFileError when the one named by FLYWHEEL_CONFIG is not there.
    """
    if settings.config is not None:
        if not settings.config.is_file():
            raise WrongFlywheelFileError(
                f"FLYWHEEL_CONFIG names {settings.config}, which is no file: write it, or unset the variable."
            )
        return settings.config
    return next((folder / NAME for folder in (Path.cwd(), PROJECT) if (folder / NAME).is_file()), None)


def loops_at(settings: Settings) -> tuple[Loop, ...]:
    """The loops that turn in a home, as flywheel.toml declares them. Raises WrongFlywheelFileError, and as
    `declared_loops`."""
    said, where = _said(settings)
    return tuple(
        as_declared(loop, said.get(loop.name, {}), where)
        for loop in declared_loops(settings.loops, settings.brand_file)
    )


def every_loop_at(settings: Settings) -> dict[str, Loop]:
    """Every loop found, by name, whichever of them turn here. Raises as `loops_at`."""
    said, where = _said(settings)
    return {
        name: as_declared(declare(settings.brand_file), said.get(name, {}), where)
        for name, declare in found_loops().items()
    }


def read(file: Path) -> Declared:
    """What the file declares of each loop's subjects; names of columns are held against the loop by `as_declared`.

    Raises WrongFlywheelFileError for a loop that is none, a key that is none, and a value of another type.
    """
    import tomllib

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise WrongFlywheelFileError(f"{file} is no TOML: {fault}. Correct it.") from None
    except OSError as fault:
        raise WrongFlywheelFileError(f"{file} cannot be read: {fault.strerror}. Let this user read it.") from None
    _check_names(table, ("loops",), str(file))
    loops = _table(table.get("loops", {}), f"{file}: [loops]")
    _check_names(loops, found_loops(), f"{file}: [loops]", "loop")
    said: dict[str, Mapping[str, Any]] = {}
    for name, of_loop in loops.items():
        place = f"{file}: [loops.{name}]"
        _check_names(_table(of_loop, place), ("subjects",), place)
        said[name] = _table(of_loop.get("subjects", {}), f"{file}: [loops.{name}.subjects]")
        _check_subjects(said[name], f"{file}: [loops.{name}.subjects]")
    return said


def as_declared(loop: Loop, said: Mapping[str, Any], where: str = NAME) -> Loop:
    """`loop` with what stands under its [loops.NAME.subjects]; as it is where nothing does.

    Raises WrongFlywheelFileError for a column that the loop does not know, naming the one probably meant.
    """
    if not said:
        return loop
    place, own = f"{where}: [loops.{loop.name}.subjects]", loop.subjects
    names, code = dict(said.get("columns", {})), said.get("language")
    facts = tuple(said["facts"]) if "facts" in said else own.facts
    always = (*own.features, *own.lives.columns, *loop.generation.columns)
    if "facts" in said:
        facts = tuple(dict.fromkeys((*facts, *(name for name in own.facts if name in always))))
    language = own.language
    if code is not None and not _LANGUAGE.fullmatch(code):
        language = code
    known = [own.key, own.original, own.pool, own.format, language, *facts, *own.facts, "withdrawn"]
    _check_names(names, [name for name in known if name], f"{place} columns", "column")
    form = said.get("format")
    if form is not None:
        written = loop.generation.recipes.formats
        if own.format is None or (written and form not in written):
            listed = ", ".join(sorted(written)) or "none"
            raise WrongFlywheelFileError(f"{place} format: no recipe writes {form!r}; name one of {listed}.")
    try:
        subjects = _declared(own, said, facts, language, names)
        return replace(loop, subjects=subjects, language=_primary(code) or loop.language)
    except ValueError as fault:
        raise WrongFlywheelFileError(f"{place}: {fault}") from None


def told(settings: Settings) -> str:
    """The file in force and what it declares, in a line. Raises as `loops_at`."""
    file = file_of(settings)
    if file is None:
        return f"no {NAME}: files are read by the columns that the loops declare"
    said = ", ".join(f"{name} ({', '.join(keys)})" for name, keys in read(file).items())
    return f"{file}: {said or 'it declares nothing'}"


def _said(settings: Settings) -> tuple[Declared, str]:
    file = file_of(settings)
    return ({}, NAME) if file is None else (read(file), str(file))


def _declared(
    own: Subjects, said: Mapping[str, Any], facts: tuple[str, ...], language: str | None, names: Mapping[str, str]
) -> Subjects:
    shown = tuple(said["shown"]) if "shown" in said else own.shown
    if "facts" in said and shown is not None and (unknown := set(shown) - set(facts)):
        raise ValueError(f"`shown` names {_listed(unknown)}, which `facts` does not: add it there, or take it out.")
    return replace(
        own,
        facts=facts,
        shown=shown,
        language=language,
        brings_facts=own.brings_facts and "facts" not in said,
        landed=AsLanded(names=names, separator=said.get("separator"), format=said.get("format"), by_user=True),
    )


def _primary(code: str | None) -> str | None:
    return code[:2] if code is not None and _LANGUAGE.fullmatch(code) else None


def _check_subjects(table: Mapping[str, Any], place: str) -> None:
    _check_names(table, _KEYS, place)
    for name, value in table.items():
        fits, wanted = _KEYS[name]
        if not fits(value):
            shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
            raise WrongFlywheelFileError(f"{place} {name} must be {wanted}, not {shown}.")


def _check_names(given: Iterable[str], known: Iterable[str], place: str, what: str = "key") -> None:
    listed = list(dict.fromkeys(known))
    for name in given:
        if name not in listed:
            near = difflib.get_close_matches(name.lower(), listed, n=1, cutoff=0.6)
            meant = f"{near[0]!r} was probably meant" if near else f"there are {', '.join(sorted(listed))}"
            raise WrongFlywheelFileError(f"{place}: {name!r} is no {what}; {meant}.")


def _table(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise WrongFlywheelFileError(f"{place} must be a table, not {value!r}.")
    return value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _are_names(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_separator(value: object) -> bool:
    return isinstance(value, str) and len(value) == 1 and value not in "\"'\r\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


_KEYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "facts": (_are_texts, "a list of different column names"),
    "shown": (_are_texts, "a list of different facts"),
    "columns": (_are_names, 'a table from declared columns to the file\'s own, such as { subject_id = "SKU" }'),
    "language": (_is_text, 'an ISO 639-1 code such as "de", or the name of a column'),
    "separator": (_is_separator, 'one character, such as ";"'),
    "format": (_is_text, 'a text, such as "description"'),
}
