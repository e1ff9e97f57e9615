"""What can go wrong between a request and its reply.

Here: the errors that a caller of the model room may meet.
Not here: the statuses that they become (generation.calls) and how an endpoint is read (endpoint, replies).
"""

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestration.model.responses import Paid


class EndpointRefused(RuntimeError):
    """The endpoint is set up wrongly, so that every call would fail alike. The message names the remedy, `code` is the
    HTTP status that said so, if one did."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Trouble(Exception):
    """Why one call has no reply: a status, and the reason in a sentence.

    `lasting` says that the next call would fail alike, `access` that it may, since what was refused is the way in and
    not the request; `parameter` which parameter of the request was refused, `code` the HTTP status that said so.
    `called_at` and `latency_s` are there when a call was made, `paid` when it cost something all the same.
    """

    called_at: datetime | None = None
    latency_s: float = 0.0
    paid: "Paid | None" = None

    def __init__(
        self,
        status: str,
        sentence: str,
        *,
        lasting: bool = False,
        access: bool = False,
        parameter: str | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.lasting = lasting
        self.access = access
        self.parameter = parameter
        self.code = code
