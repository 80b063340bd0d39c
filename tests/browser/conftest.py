"""JupyterLab in headless Chromium: a server with its token, copied notebooks, a page that refuses the outside."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "out" / "screenshots"
START_WITHIN_S = 120
RUN_WITHIN_S = 600  # the first run on a machine compiles
BROWSER_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"]

# The idle badge of a notebook shows before its kernel can be used: wait for the kernel's own answer, then run.
RUN_ALL = """async (within_ms) => {
  const late = new Promise((_, refuse) => setTimeout(() => refuse(new Error('the notebook did not end')), within_ms));
  await Promise.race([late, run()]);
  async function run() {
  const app = window.jupyterapp;
  await app.restored;
  let panel = null;
  while (!(panel && panel.context && panel.sessionContext)) {
    panel = app.shell.currentWidget;
    await new Promise(done => setTimeout(done, 100));
  }
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  await app.commands.execute('notebook:run-all-cells');
  }
}"""

ERRORS_SHOWN = """() => Array.from(
  document.querySelectorAll('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
).map(output => output.innerText)"""


@dataclass
class Lab:
    """A running JupyterLab and the copy of the project's notebooks that it serves."""

    url: str
    token: str
    root: Path

    def address_of(self, notebook: str) -> str:
        return f"{self.url}/lab/tree/notebooks/{notebook}?token={self.token}"


@dataclass
class Visit:
    """A page of the browser, with what it asked for outside and what went wrong in it."""

    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run_all(self) -> None:
        """Run every cell, as the menu would, and fail on the first error shown."""
        self.page.wait_for_function("() => window.jupyterapp !== undefined", timeout=START_WITHIN_S * 1000)
        self.page.evaluate(RUN_ALL, RUN_WITHIN_S * 1000)
        shown = self.page.evaluate(ERRORS_SHOWN)
        assert not shown, shown[0]

    def screenshot(self, name: str) -> Path:
        """Keep a picture for people to look at; out/ is not in git."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / name
        self.page.screenshot(path=path)
        return path


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _surroundings(home: Path) -> dict[str, str]:
    """Return an environment of its own, so that nobody's settings or history are touched."""
    settings = home / "config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True)
    overrides: dict[str, dict[str, Any]] = {
        # a windowed notebook keeps what is off the screen out of the document
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        # no questions over the page
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    settings.write_text(json.dumps(overrides), encoding="utf-8")
    own = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
    }
    return {**os.environ, **{name: str(path) for name, path in own.items()}}


def _wait_for(url: str, token: str, process: subprocess.Popen[bytes], log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    last = time.monotonic() + START_WITHIN_S
    while time.monotonic() < last:
        if process.poll() is not None:
            break
        try:
            with direct.open(f"{url}/api/status?token={token}", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Serve a copy of the notebooks and the sample, from a folder whose name has a blank and an accent."""
    tmp_path = tmp_path_factory.mktemp("lab")
    root = tmp_path / "Projekt Zürich"
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copytree(ROOT / "data" / "sample", root / "data" / "sample")
    port, token, log = _free_port(), secrets.token_hex(16), tmp_path / "lab.log"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", f"--ServerApp.root_dir={root}"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=_surroundings(tmp_path / "home"),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            served = Lab(url=f"http://127.0.0.1:{port}", token=token, root=root)
            _wait_for(served.url, token, process, log)
            yield served
        finally:
            process.send_signal(signal.SIGINT)
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)


@pytest.fixture
def visit(lab: Lab, tool: Any) -> Iterator[Visit]:
    """Open a page in headless Chromium that may talk to our server only."""
    chromium = tool("chromium", "chromium-browser", "google-chrome", "chrome")
    playwright = pytest.importorskip("playwright.sync_api", reason="missing tool: playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1100}, locale="en-GB")
        page.set_default_timeout(START_WITHIN_S * 1000)
        visited = Visit(page=page)

        def guard(route: Any) -> None:
            if route.request.url.startswith((lab.url, "data:", "blob:")):
                route.continue_()
            else:
                visited.outside.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        page.on("pageerror", lambda error: visited.errors.append(f"page error: {error}"))
        page.on(
            "console",
            lambda message: visited.errors.append(f"console: {message.text}") if message.type == "error" else None,
        )
        try:
            yield visited
        finally:
            browser.close()
