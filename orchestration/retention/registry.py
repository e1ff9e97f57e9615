"""Versions, runs, artifacts and traces in MLflow that no kept turn needs.

Here: finding and removing them. Whatever bears an alias stays.
Not here: which policies are needed (rows).
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from orchestration.registry.moved import ARTIFACTS
from orchestration.registry.tracking import Tracking, model_name


def unneeded_versions(tracking: Tracking, loop: str, needed: set[str], first: str) -> list[Any]:
    """Versions trained in turns before `first` that are not `needed` and bear no alias."""
    from mlflow.exceptions import MlflowException

    try:
        aliased = {str(number) for number in tracking.client.get_registered_model(model_name(loop)).aliases.values()}
    except MlflowException:
        return []
    return [
        version
        for version in _pages(tracking.client.search_model_versions, f"name = '{model_name(loop)}'")
        if version.tags.get("turn", first) < first and str(version.version) not in needed | aliased
    ]


def remove_versions(tracking: Tracking, loop: str, needed: set[str], first: str) -> int:
    """Remove those versions with their runs, models and artifacts; how many.

    Artifacts go first: what a kill leaves is found by its version at the next pruning.
    """
    from mlflow.exceptions import MlflowException

    unneeded = unneeded_versions(tracking, loop, needed, first)
    client = tracking.client
    for version in unneeded:
        with suppress(MlflowException):
            _remove_artifacts(tracking.folder, client.get_run(version.run_id).info.artifact_uri)
            client.delete_run(version.run_id)
        model_id = getattr(version, "model_id", None) or str(version.source).removeprefix("models:/")
        with suppress(MlflowException):
            _remove_artifacts(tracking.folder, client.get_logged_model(model_id).artifact_location)
            client.delete_logged_model(model_id)
        client.delete_model_version(model_name(loop), version.version)
    return len(unneeded)


def remove_traces(tracking: Tracking, before: datetime) -> int:
    """Remove what was traced before that moment (naive UTC) in this home's experiments; how many."""
    from datetime import UTC

    until = int(before.replace(tzinfo=UTC).timestamp() * 1000)
    experiments = tracking.client.search_experiments(filter_string="name LIKE 'flywheel%'")
    return sum(
        tracking.client.delete_traces(experiment.experiment_id, max_timestamp_millis=until)
        for experiment in experiments
    )


def _pages(search: Any, wanted: str) -> Iterator[Any]:
    token = None
    while True:
        page = search(wanted, max_results=500, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _remove_artifacts(home: Path, address: str | None) -> None:
    """Remove a folder of artifacts, if it lies in this home; for a run, its whole folder."""
    if not address:
        return
    parsed = urlparse(address)
    folder = Path(unquote(parsed.path) if parsed.scheme == "file" else address)
    folder = folder.parent if folder.name == "artifacts" else folder
    if folder.is_relative_to(home / ARTIFACTS) and folder != home / ARTIFACTS and folder.is_dir():
        shutil.rmtree(folder)
