"""Whether what the flywheel talks to answers: the model's endpoint, MLflow, and the ports of the user interfaces.

Here: one look at each, none of which costs anything.
Not here: the other checks of a set-up (doctor), the warehouse among them.
"""

import asyncio
from collections.abc import Iterator

from orchestration.commands.finding import Finding
from orchestration.model.local_weights import LOCAL_MODELS, is_installed
from orchestration.settings import Settings

PATIENCE_S = 5.0
PORTS = (("Dagster UI", 3000, "--dagster-port"), ("MLflow UI", 5000, "--mlflow-port"))


def endpoint(settings: Settings) -> Finding:
    """The endpoint is asked once for its list of models, within seconds; the local model is only looked for."""
    if not (settings.openai_api_key or settings.openai_base_url):
        local = LOCAL_MODELS[settings.local_model]
        if is_installed(local):
            return Finding("model", "ok", f"{local.served_as}, served locally")
        return Finding("model", "fails", f"no endpoint, and {local.served_as} is not installed", local.remedy)
    from orchestration.model.troubles import EndpointRefused, Trouble

    where = "the address in OPENAI_BASE_URL" if settings.openai_base_url else "OpenAI"
    try:
        names = asyncio.run(_models(settings))
    except EndpointRefused as refused:
        return Finding("model", "fails", str(refused), "Correct OPENAI_API_KEY and OPENAI_BASE_URL.")
    except Trouble as trouble:
        if trouble.code in (404, 405, 501) and settings.model:
            remedy = "The first turn shows whether it answers; an address often ends in /v1."
            return Finding("model", "note", f"{where} is there and has no list of models", remedy)
        remedy = "Correct OPENAI_BASE_URL, start what serves there, or look at the network between."
        return Finding("model", "fails", f"{where}: {trouble.sentence}", remedy)
    if names is None:
        remedy = "Correct OPENAI_BASE_URL, which often ends in /v1."
        return Finding("model", "fails", f"{where} answers with something else than a list of models", remedy)
    return _named(settings.model, names, where)


def _named(model: str | None, names: list[str], where: str) -> Finding:
    some = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
    if model is None and len(names) != 1:
        remedy = "Set FLYWHEEL_MODEL to one that the endpoint serves."
        return Finding("model", "fails", f"{where} offers {len(names)} models ({some}), and none is chosen", remedy)
    if model is not None and model not in names:
        remedy = "Set FLYWHEEL_MODEL to one of the list, unless the endpoint serves more than it lists."
        return Finding("model", "note", f"{where} does not list {model!r} among {len(names)} models ({some})", remedy)
    return Finding("model", "ok", f"{model or names[0]} at {where}, which answers")


async def _models(settings: Settings) -> list[str] | None:
    from orchestration.model.completions import models_in
    from orchestration.model.endpoint import Endpoint

    asked = Endpoint(settings.model_copy(update={"request_timeout_s": PATIENCE_S, "max_retries": 0}))
    try:
        return models_in(await asyncio.wait_for(asked.bytes_of("GET", "/models"), 2 * PATIENCE_S))
    except TimeoutError:
        from orchestration.model.troubles import Trouble

        raise Trouble("timeout", f"No whole answer within {2 * PATIENCE_S:g} s.") from None
    finally:
        await asked.close()


def mlflow(settings: Settings) -> Finding:
    """MLflow's database in the home is opened, where there is one."""
    if not (settings.root / "mlflow.db").exists():
        return Finding("MLflow", "ok", "not there yet; the first turn creates it")
    from orchestration.registry.tracking import Tracking

    try:
        experiments = Tracking(settings.root, settings.mlflow_ui).client.search_experiments(max_results=100)
    # Whatever a damaged database makes MLflow raise, it is what this check looks for.
    except Exception as error:
        said = (str(error).splitlines() or [""])[0][:200]
        remedy = "Restore mlflow.db of the home from a backup, or move it away: policies stay in the warehouse."
        return Finding("MLflow", "fails", f"mlflow.db cannot be opened: {said}", remedy)
    return Finding("MLflow", "ok", f"opens, with {len(experiments)} experiments")


def ports() -> Iterator[Finding]:
    """Whether `flywheel up` could serve where it does by default."""
    from orchestration.commands.serving import port_problem

    for name, port, option in PORTS:
        if problem := port_problem(port):
            found, _, remedy = problem.partition(": ")
            said = f"{remedy.capitalize()}, unless it is this flywheel's; or choose another: `flywheel up {option}`."
            yield Finding(name, "note", f"port {port} {found}", said)
        else:
            yield Finding(name, "ok", f"port {port} is free")
