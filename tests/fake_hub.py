"""A Hugging Face hub of one repository on this machine: what its client asks when it fetches a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c0ffee" + "0" * 34


@contextmanager
def fake_hub(repository: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub that has `files` in `repository`, and the requests it is sent."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            asked.append(f"{self.command} {path}")
            status, content, headers = _found(path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    def _found(path: str) -> tuple[int, bytes, dict[str, str]]:
        if path.startswith(f"/api/models/{repository}/tree/"):
            rows = [{"type": "file", "path": name, "size": len(b), "oid": "0" * 40} for name, b in files.items()]
            return 200, json.dumps(rows).encode(), {"Content-Type": "application/json"}
        name = path.removeprefix(f"/{repository}/resolve/main/")
        name = name.removeprefix(f"/{repository}/resolve/{COMMIT}/")
        if name in files:
            digest = hashlib.sha256(files[name]).hexdigest()
            return 200, files[name], {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "none"}
        known = path.startswith(f"/{repository}/")
        return 404, b"", {"X-Error-Code": "EntryNotFound" if known else "RepoNotFound", "X-Repo-Commit": COMMIT}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
