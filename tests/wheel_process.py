"""A wheel turned by a process of its own, to be killed at a line that it tells, or to run beside another.

Here: `python -m tests.wheel_process HOME HALF TURN [LINE]`, whose settings come from the environment, and starting it.
Not here: what tests find out about it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from orchestration.testing.shop import Wheel

ROOT = Path(__file__).resolve().parent.parent
REACHED = "reached"


@contextmanager
def turning(one: Wheel, half: str, turn: str, until: str = "") -> Iterator["subprocess.Popen[str]"]:
    """A process that runs a half of a turn of this wheel; at a line that holds `until` it prints REACHED and waits."""
    url = one.settings.warehouse
    environment = {
        **os.environ,
        "FLYWHEEL_PRODUCTS": str(one.products),
        "FLYWHEEL_EXPOSURES": str(one.exposures),
        **({"FLYWHEEL_WAREHOUSE": url.get_secret_value()} if isinstance(url, SecretStr) else {}),
    }
    command = [sys.executable, "-m", "tests.wheel_process", str(one.home), half, turn, until]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def killed(one: Wheel, half: str, turn: str, at: str) -> None:
    """Run a half and kill the process at the line that holds `at`. Raises RuntimeError when it does not come to it."""
    with turning(one, half, turn, at) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != REACHED:
            said = process.stderr.read() if process.stderr else ""
            raise RuntimeError(f"{half} of {turn} did not come to {at!r}: {said[-2_000:]}")


def main(home: str, half: str, turn: str, until: str = "") -> None:
    one = Wheel(
        Path(home),
        products=int(os.environ["FLYWHEEL_PRODUCTS"]),
        exposures=int(os.environ["FLYWHEEL_EXPOSURES"]),
    )

    def told(line: str) -> None:
        if until and until in line:
            print(REACHED, flush=True)
            time.sleep(3_600)

    one.flywheel.tell = told
    getattr(one.flywheel, half)(turn)


if __name__ == "__main__":
    main(*sys.argv[1:])
