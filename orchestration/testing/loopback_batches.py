"""Files and batches of the loopback endpoint, in memory.

Here: /v1/files and /v1/batches as OpenAI has them. Results come in another order than they were asked in, failures in a
file of their own, and what is dropped in none. Not here: the answers themselves (loopback).
"""

import json
import re
from typing import Any

from orchestration.testing.loopback_behaviour import content_of

_FILE_PART = re.compile(rb'name="file"[^\r]*\r\n(?:[^\r]+\r\n)*\r\n(.*?)\r\n--', re.DOTALL)


class Batches:
    """What was uploaded and submitted. A batch runs while it is looked at, `behaviour.batch_looks` times."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        """The answer to a request, as (status, document or bytes)."""
        path, _, _ = path.removeprefix("/v1").partition("?")
        parts = path.strip("/").split("/")
        if parts == ["files"] and method == "POST":
            found = _FILE_PART.search(content)
            assert found is not None, "no file in the upload"
            return 200, {**self._file(found.group(1)), "purpose": "batch"}
        if parts[0] == "files" and parts[-1] == "content":
            return 200, self.files[parts[1]]
        if parts == ["batches"]:
            if method == "GET":
                return 200, {"object": "list", "data": list(self.batches.values()), "has_more": False}
            return 200, self._submitted(json.loads(content))
        if parts[0] == "batches" and parts[1] in self.batches:
            return 200, self._looked_at(self.batches[parts[1]])
        return 404, {"error": {"message": f"No such object: {parts[-1]}.", "code": "not_found"}}

    def _file(self, content: bytes) -> dict[str, Any]:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        known = {"id": name, "object": "file", "bytes": len(content), "created_at": 0, "filename": name}
        return known | {"status": "processed"}

    def _submitted(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch-{len(self.batches)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "metadata": body.get("metadata"),
            "status": "in_progress",
            "created_at": 0,
            "looks": 0,
        }
        return self.batches[name]

    def _looked_at(self, batch: dict[str, Any]) -> dict[str, Any]:
        behaviour = self._server.behaviour
        batch["looks"] += 1
        if batch["status"] == "in_progress" and batch["looks"] > behaviour.batch_looks:
            self._run(batch)
        return batch

    def _run(self, batch: dict[str, Any]) -> None:
        output, errors, counts, behaviour = [], [], self._server.counts, self._server.behaviour
        for line in self.files[batch["input_file_id"]].splitlines():
            asked = json.loads(line)
            what = content_of(asked["body"])
            counts.asked[what] += 1
            fate = self._server.fate(what)
            counts.fates[fate] += 1
            if fate in ("drops", "hangs", "breaks_off", "garbles"):
                continue
            status, document = self._server.complete(asked["body"], fate)
            result = {"id": f"result-{what}", "custom_id": asked["custom_id"], "error": None}
            result["response"] = {"status_code": status, "request_id": what, "body": document}
            if status == 200:
                counts.answered[what] += 1
                output.append(result)
            else:
                errors.append(result)
        batch["status"] = "completed"
        for name, results in (("output_file_id", output[::-1]), ("error_file_id", errors)):
            content = b"\n".join(json.dumps(result).encode() for result in results)
            if behaviour.batch_file is not None:
                content = behaviour.batch_file(name.split("_")[0], content)
            if content:
                batch[name] = self._file(content)["id"]
