"""The local page of a run: loopback only, one secret address, nothing else is served."""

import hmac
import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from seawall.pipeline.watch.look import Watcher

LOOPBACK = "127.0.0.1"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    "": ("watch.html", "text/html"),
    "watch.js": ("watch.js", "text/javascript"),
    "watch.css": ("watch.css", "text/css"),
}


class WatchServer(ThreadingHTTPServer):
    """Serve one run to whoever knows the token.

    Parameters
    ----------
    port
        0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, watcher: Watcher, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.watcher, self.token = watcher, secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """The only address that answers."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    server_version, sys_version, timeout = "seawall", "", 10

    def do_GET(self) -> None:
        """Answer the page, its two files and the state; anything else is not found, whatever is wrong with it."""
        own = {f"{host}:{self.server.server_port}" for host in (LOOPBACK, "localhost")}
        token, _, name = self.path.removeprefix("/").partition("/")
        # A page of another site may point its name at this machine: then the host is not ours.
        is_host = self.headers.get("Host", "") in own
        is_token = hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode())
        if not (is_host and is_token):
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")
        elif name == "state.json":
            state: dict[str, Any] = self.server.watcher.look().record()
            self._send(HTTPStatus.OK, "application/json", json.dumps(state).encode())
        elif name in FILES:
            file, kind = FILES[name]
            body = resources.files("seawall.pipeline.watch").joinpath(file).read_bytes()
            self._send(HTTPStatus.OK, f"{kind}; charset=utf-8", body)
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the address holds the token."""
