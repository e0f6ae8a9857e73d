"""The server behind a page: on this machine's loopback alone, with a closed list of routes.

What keeps others out: the address that it listens on; a key in every path, that nobody but who started it knows; the
Host header (a name that resolves to 127.0.0.1 is none of ours); for what a page sends, its Origin, and a content type
that no other site may send without asking first, which is never answered. Nothing in a path names a file.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, NamedTuple

from fnlayers.plain_data import FrozenDict
from fnlayers.show.live.described import Described
from fnlayers.show.live.files import LIMIT, arrays_in
from fnlayers.show.paint import dark_scheme
from fnlayers.show.svg import LOOKS

HOST = "127.0.0.1"
SECONDS = 30  # that a connection may be silent
ROUTE = re.compile(r"/([\w-]{1,64})/(?:(layers|outputs|input)/(\d{1,6})|([a-z]{0,16}(?:\.[a-z]{2,4})?))")
PAGE = FrozenDict(
    {
        "": ("index.html", "text/html; charset=utf-8"),
        "view.css": ("view.css", "text/css; charset=utf-8"),
        "view.js": ("view.js", "text/javascript; charset=utf-8"),
    }
)
JSON, BYTES = "application/json", "application/octet-stream"
HEADERS = FrozenDict(
    {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)


class FirstInput(NamedTuple):
    """An input that the page begins with: an .npy, .npz or image file, or arrays of Python as such a file."""

    name: str
    data: bytes


class Server(ThreadingHTTPServer):
    """Serves one model. `key` is the first part of every path."""

    daemon_threads = True
    allow_reuse_address = False  # on some systems it lets two servers have one port

    def __init__(self, described: Described, first_input: FirstInput | None, port: int) -> None:
        self.described, self.first_input, self.key = described, first_input, secrets.token_urlsafe(16)
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.server_port}/{self.key}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "fnlayers", ""
    timeout = SECONDS

    def do_GET(self) -> None:
        """Answer one of the routes."""
        if (route := self._route()) is None:
            return
        kind, number, name = route
        described, first_input = self.server.described, self.server.first_input
        routes: dict[str, Callable[[], tuple[bytes, str]]] = {
            "graph.svg": lambda: (described.svg.encode("utf8"), "image/svg+xml"),
            "graph.css": lambda: (dark_scheme("fl-graph", LOOKS).encode("utf8"), "text/css; charset=utf-8"),
            "model.json": lambda: _json({**described.index(), "first": first_input.name if first_input else None}),
        }
        if first_input is not None:
            routes["first"] = lambda: (first_input.data, BYTES)
        if kind in ("layers", "outputs"):
            describe = described.layer if kind == "layers" else described.output
            try:
                self._send(200, *_json(describe(int(number))))
            except IndexError:
                self._refuse(404, "there is no such layer")
        elif name in PAGE and not kind:
            file, type_ = PAGE[name]
            self._send(200, (resources.files("fnlayers.show.live") / "page" / file).read_bytes(), type_)
        elif name in routes and not kind:
            self._send(200, *routes[name]())
        else:
            self._refuse(404, "there is nothing here")

    def do_POST(self) -> None:
        """Run the model on what the page sends."""
        if (route := self._route()) is None:
            return
        kind, number, _ = route
        size = self.headers.get("Content-Length", "")
        if kind != "input":
            self._refuse(404, "there is nothing here")
        elif self.headers.get("Origin", f"http://{self.headers['Host']}") != f"http://{self.headers['Host']}":
            self._refuse(403, "another page sent this")
        elif self.headers.get("Content-Type") != BYTES:
            self._refuse(415, f"the content type has to be {BYTES}")
        elif not re.fullmatch(r"[0-9]{1,12}", size) or "Transfer-Encoding" in self.headers:
            self._refuse(411, "the length has to be said")
        elif int(size) > LIMIT:
            self._refuse(413, f"at most {LIMIT >> 20} MiB are read")
        else:
            self._run(self.rfile.read(int(size)), int(number))

    def _run(self, data: bytes, example: int) -> None:
        try:
            answer = self.server.described.run(arrays_in(data), example)
        except ValueError as error:  # all errors of ours are
            self._refuse(400, " ".join(str(error).split()))
        except Exception as error:  # whatever a model's own functions raise, or jax where memory ends
            self._refuse(400, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
        else:
            self._send(200, *_json(answer))

    def _route(self) -> tuple[str, str, str] | None:
        """(kind, number, name) of a path of ours; None where the request was refused."""
        port = self.server.server_port
        if self.headers.get_all("Host") not in ([f"{HOST}:{port}"], [f"localhost:{port}"]):
            self._refuse(403, "this server has another name")
            return None
        match = ROUTE.fullmatch(self.path)
        if match is None or not hmac.compare_digest(match[1].encode(), self.server.key.encode()):
            self._refuse(404, "there is nothing here")
            return None
        return match[2] or "", match[3] or "", match[4] or ""

    def _refuse(self, status: int, error: str) -> None:
        self._send(status, *_json({"error": error}))

    def _send(self, status: int, body: bytes, type_: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": type_, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the terminal is the user's."""


def _json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, allow_nan=False).encode("utf8"), JSON
