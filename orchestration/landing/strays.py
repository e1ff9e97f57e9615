"""Files in the landing folder that nobody looks for, as under a misspelt name.

Here: which folders are looked at, and where a stray file probably belongs.
Not here: what is in the files that are looked for (landing.folder).
"""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

OF_A_LOOP = ("subjects", "reviews", "withdrawals", "exclusions")
_CLOSE = 0.5


def strays(folder: Path, loops: Collection[str]) -> dict[str, str]:
    """Each stray file by its path below `folder`, with a sentence that says where it probably belongs.

    Left out are files that are still being written.
    """
    known = ["events", *(f"{loop}/{kind}" for loop in loops for kind in OF_A_LOOP)]
    found = {}
    for path in _files(folder):
        parts = path.relative_to(folder).parts[:-1]
        place = "/".join(parts)
        if place in known or (len(parts) == 2 and parts[0] == "documents"):
            continue
        found[path.relative_to(folder).as_posix()] = _belongs(place, known)
    return found


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix == ".partial":
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def _belongs(place: str, known: Collection[str]) -> str:
    looked_at = f"looked at are {', '.join(known)} and documents/CORPUS"
    if not place:
        return f"lies in landing/ itself, where nothing is looked for: {looked_at}. Move it."
    above = next((name for name in known if place.startswith(f"{name}/")), None)
    if above:
        return f"lies too deep: files must lie in landing/{above}/ itself. Move it."
    meant = get_close_matches(place.lower(), known, 1, _CLOSE)
    if meant:
        return f"lies in landing/{place}/, which nobody looks at: landing/{meant[0]}/ was probably meant. Move it."
    return f"lies in landing/{place}/, which nobody looks at: {looked_at}. Move it, or name the loop in FLYWHEEL_LOOPS."
