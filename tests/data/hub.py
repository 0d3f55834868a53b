"""A stand-in for the hub on this machine: enough of its HTTP interface for `datasets` to find and stream a data set.

It keeps what it was asked for, so that a test can say that nothing was fetched.
"""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

NAME = "me/set"


@dataclass
class Hub:
    """Commits by their hash, each a file's content by its name; `main` is the newest."""

    commits: dict[str, dict[str, bytes]]
    main: str
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def fetched(self, suffix: str) -> list[str]:
        """The files with this ending whose content was asked for."""
        return [line for line in self.asked if line.startswith("GET ") and line.endswith(suffix)]


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve the hub at `hub.address` meanwhile."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        """Headers alone."""
        self.do_GET()

    def do_GET(self) -> None:
        """The interface of the hub for one data set, and its files, whole or in part."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        api, files = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/"
        if path.startswith(f"{api}/tree/"):
            commit, _, folder = path.removeprefix(f"{api}/tree/").partition("/")
            found = {} if folder else self.hub.commits[self._commit(commit)]
            self._json([{"type": "file", "path": n, "size": len(b), "oid": "b" * 40} for n, b in found.items()])
        elif path.startswith(api):
            commit = self._commit(path.rpartition("/")[2] if "/revision/" in path else "main")
            self._json({"id": NAME, "sha": commit, "siblings": [{"rfilename": n} for n in self.hub.commits[commit]]})
        elif path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            self._file(self._commit(revision), name)
        else:
            self._answer(404)

    def _commit(self, revision: str) -> str:
        return self.hub.main if revision == "main" else revision

    def _file(self, commit: str, name: str) -> None:
        content = self.hub.commits[commit].get(name)
        if content is None:
            self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
            return
        said = {"ETag": f'"{len(content):040}"', "X_Repo_Commit": commit, "Accept_Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked is None:
            self._answer(200, content, **said)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = min(int(last) + 1 if last else len(content), len(content))
        said["Content_Range"] = f"bytes {first}-{end - 1}/{len(content)}"
        self._answer(206, content[int(first) : end], **said)

    def _json(self, content: Any) -> None:
        self._answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content_Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
