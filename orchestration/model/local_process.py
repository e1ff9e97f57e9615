"""The process that serves a local model: llama-cpp-python's own server, which ends with the process that started it.

Here: ending in time, and a memory of the prompts' common starts, so that the examples of each recipe are read once.
Not here: starting it and talking to it (local_model). Run as a script, by nobody else; it knows only llama_cpp.

The server keeps what it has read of the last prompt alone. Recipes alternate over turns, and reading the examples of
one takes the 1.5B model as long as writing three texts.
"""

import os
import runpy
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_cpp.llama import LlamaState

STARTS_KEPT = 24
"""Starts kept at most, about 30 KB a token for the 1.5B model: those of nine recipes, and of their newest examples."""
SAME_START = 0.75
"""Share of a prompt in common from which two prompts count as the same start: all but the subject's own facts."""


def kept_starts() -> type:
    """A cache of the server's own kind that keeps one state for each start, instead of one for each prompt."""
    from llama_cpp.llama_cache import LlamaRAMCache

    class KeptStarts(LlamaRAMCache):
        def __setitem__(self, key: Sequence[int], value: "LlamaState") -> None:
            tokens = tuple(key)
            alike = self._find_longest_prefix_key(tokens)
            if alike is not None and _in_common(alike, tokens) >= SAME_START * len(tokens):
                del self.cache_state[alike]
            value.scores = value.scores[-1:].copy()  # the last token's are enough, and all would be 150 MB a state
            self.cache_state[tokens] = value
            while len(self.cache_state) > STARTS_KEPT:
                self.cache_state.popitem(last=False)

    return KeptStarts


def _in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts have in common from their start."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _end_with_parent() -> None:
    """End when standard input does, and that ends with the parent, however it dies. (Linux' parent-death signal would
    come when the thread that started us ends.)"""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import llama_cpp

    server: Any = llama_cpp
    server.LlamaRAMCache = kept_starts()
    sys.argv = ["llama_cpp.server", *sys.argv[1:]]
    runpy.run_module("llama_cpp.server", run_name="__main__")


if __name__ == "__main__":
    main()
