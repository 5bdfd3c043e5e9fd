"""A Hugging Face Hub with one repository, on this machine: enough of its protocol to download."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

REPOSITORY = "someone/qm9"
COMMIT = "0123456789" * 4


class LocalHub:
    """Serves the files of a folder as the repository `REPOSITORY`.

    Attributes
    ----------
    url : str
    downloads : list of str
        Files that were asked for, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.downloads: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, self.downloads))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Go offline."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(folder: Path, downloads: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_content=True)

        def do_HEAD(self) -> None:
            self._answer(with_content=False)

        def log_message(self, *arguments) -> None:
            """Say nothing."""

        def _answer(self, with_content: bool) -> None:
            path = self.path.split("?")[0]
            status, headers = 200, {}
            if path.startswith(f"/api/models/{REPOSITORY}/tree/"):
                content = json.dumps(_tree(folder)).encode()
            elif path.startswith(f"/api/models/{REPOSITORY}"):
                files = [{"rfilename": entry["path"]} for entry in _tree(folder)]
                content = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": files}).encode()
            elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
                name = path.split(f"{COMMIT}/")[1]
                content = (folder / name).read_bytes()
                headers = {"ETag": f'"{_oid(folder / name)}"', "X-Repo-Commit": COMMIT}
                if with_content:
                    downloads.append(name)
            else:
                status, headers = 404, {"X-Error-Code": "RepoNotFound"}
                content = b"{}"
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_content:
                self.wfile.write(content)

    return Handler


def _tree(folder: Path) -> list[dict]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return [
        {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": _oid(file),
        }
        for file in files
    ]


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
