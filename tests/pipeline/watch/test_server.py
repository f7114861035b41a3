import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from seawall.pipeline.lock import run_lock
from seawall.pipeline.watch.look import Watcher
from seawall.pipeline.watch.server import WatchServer
from seawall.units import MIB
from tests.pipeline.watch.test_look import working

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchServer]:
    run = working(tmp_path_factory.mktemp("watch"))
    with run_lock(run), WatchServer(Watcher(run)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _get(
    server: WatchServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_whoever_knows_the_token_gets_page_and_state(server: WatchServer) -> None:
    status, headers, body = _get(server, f"/{server.token}/")
    assert status == 200
    assert "<title>seawall watch</title>" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    status, _, body = _get(server, f"/{server.token}/state.json", host=f"localhost:{server.server_port}")
    assert (status, json.loads(body)["unit"]) == (200, "train/fold_01")


@pytest.mark.parametrize(
    "path",
    ["/", "/state.json", "/x/", "/{token}x/", "/{half}/state.json", "/{token}/../", "/{token}/run.json",
     "/{token}/watch.html", "/{token}/%2e%2e/look.py", "/%C3%A9/state.json"],
)  # fmt: skip
def test_nothing_else_is_served(server: WatchServer, path: str) -> None:
    status, _, body = _get(server, path.format(token=server.token, half=server.token[:16]))
    assert (status, body) == (404, "not found\n")


@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example"])
def test_a_request_in_the_name_of_another_host_is_not_answered(server: WatchServer, host: str) -> None:
    assert _get(server, f"/{server.token}/state.json", host=host)[0] == 404


def test_nothing_can_be_written(server: WatchServer) -> None:
    assert _get(server, f"/{server.token}/state.json", method="POST")[0] == 501


def test_only_this_machine_is_listened_to(server: WatchServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with WatchServer(server.watcher) as other:
        assert other.token != server.token
        assert len(other.token) >= 32
        assert other.server_port != server.server_port


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which only Linux has")
def test_the_command_is_a_small_process_that_ends_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seawall", "watch", str(tmp_path / "run"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        told = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        assert told["pid"] == process.pid
        working(tmp_path)
        port, token = told["url"].split(":")[2].split("/")[:2]
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as link:
            link.sendall(f"GET /{token}/state.json HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        assert b'"name": "pse-demo"' in answer
        status = Path(f"/proc/{process.pid}/status").read_text()
        private = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) * 1024
        assert private < 40 * MIB
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 130


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome found on the path")
def test_the_page_shows_the_run_and_follows_it(server: WatchServer) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page, complaints = browser.new_page(viewport={"width": 360, "height": 800}), []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        page.locator("dd", has_text="2 of 3").wait_for()
        text = page.inner_text("body")
        for expected in ("pse-demo", "epoch 1: train", "0.43210", "1.0 GiB", "0.1100", "0.0400"):
            assert expected in text, expected
        assert page.locator("#loss polyline").count() == 2
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        report = server.watcher.folder / ".heartbeat.json"
        report.write_text(json.dumps({"substep": "<b>epoch 2</b>", "done": 1, "total": 2}))
        page.locator("dd", has_text="<b>epoch 2</b>").wait_for()
        assert complaints == []
        browser.close()
