"""JupyterLab and Voilà in headless Chromium: own servers, copied notebooks, a page that refuses the outside."""

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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "ccp_assess" / "widgets" / "jupyter"
SCREENSHOTS = ROOT / "out" / "screenshots"
START_WITHIN_S = 120
ACT_WITHIN_S = 40
RUN_WITHIN_S = 600  # the first run on a machine compiles
BROWSER_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"]

# The idle badge of a notebook shows before its kernel can be used: wait for the kernel's own answer, then run.
RUN_ALL = """async ([path, within_ms]) => {
  const late = new Promise((_, refuse) => setTimeout(() => refuse(new Error('the notebook did not end')), within_ms));
  await Promise.race([late, run()]);
  async function run() {
    const app = window.jupyterapp;
    await app.restored;
    if (path) await app.commands.execute('docmanager:open', { path, factory: 'Notebook' });
    let panel = null;
    while (!(panel && panel.context && panel.sessionContext && (!path || panel.context.path === path))) {
      panel = app.shell.currentWidget;
      await new Promise(done => setTimeout(done, 50));
    }
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    await app.commands.execute('notebook:run-all-cells');
  }
}"""

SHUT_DOWN = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.sessionContext.shutdown();
  panel.dispose();
}"""

ERRORS_SHOWN = """() => Array.from(
  document.querySelectorAll('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
).map(output => output.innerText)"""


@dataclass(frozen=True)
class Server:
    """A running server and the copy of the project's notebooks that it serves."""

    url: str
    token: str
    root: Path


@dataclass
class Visit:
    """A page of the browser, with what it asked for outside and what went wrong in it."""

    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run_all(self, path: str = "") -> None:
        """Open a notebook and run every cell, as the menu would, and fail on the first error shown."""
        self.page.wait_for_function("() => window.jupyterapp !== undefined", timeout=START_WITHIN_S * 1000)
        self.page.evaluate(RUN_ALL, [path, RUN_WITHIN_S * 1000])
        shown = self.page.evaluate(ERRORS_SHOWN)
        assert not shown, shown[0]

    def screenshot(self, name: str, selector: str = "") -> Path:
        """Keep a picture for people to look at; out/ is not in git."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / name
        if selector:
            self.page.locator(selector).first.screenshot(path=path)
        else:
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
        "JUPYTER_PATH": TEMPLATES,
    }
    return {**os.environ, **{name: str(path) for name, path in own.items()}}


def _copied(folder: Path) -> Path:
    """Copy notebooks and sample into a folder whose name has a blank and an accent."""
    root = folder / "Projekt Zürich"
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copytree(ROOT / "data" / "sample", root / "data" / "sample")
    return root


@contextmanager
def _served(command: list[str], folder: Path, root: Path, answers_at: str) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=_surroundings(folder / "home"),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(answers_at, process, log)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    last = time.monotonic() + START_WITHIN_S
    while time.monotonic() < last:
        if process.poll() is not None:
            break
        try:
            with direct.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a copy of the notebooks and the sample in JupyterLab."""
    folder = tmp_path_factory.mktemp("lab")
    root, port, token = _copied(folder), _free_port(), secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", f"--ServerApp.root_dir={root}"),
    ]
    url = f"http://127.0.0.1:{port}"
    with _served(command, folder, root, f"{url}/api/status?token={token}"):
        yield Server(url=url, token=token, root=root)


@pytest.fixture(scope="session")
def voila(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a copy of the notebooks and the sample as an app."""
    folder = tmp_path_factory.mktemp("voila")
    root, port = _copied(folder), _free_port()
    command = [
        *(sys.executable, "-m", "voila", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}"),
        *("--template=ccp", str(root / "notebooks")),
    ]
    url = f"http://127.0.0.1:{port}"
    with _served(command, folder, root, url):
        yield Server(url=url, token="", root=root)


@pytest.fixture(scope="module")
def browser(play: Any) -> Iterator[Any]:
    """Start headless Chromium once."""
    chromium = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (path := shutil.which(name))),
        None,
    )
    if chromium is None:
        pytest.skip("missing tool: chromium")
    started = play.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
    try:
        yield started
    finally:
        started.close()


def _new_visit(browser: Any, url: str) -> Visit:
    """Open a page that may talk to one server only."""
    page = browser.new_page(viewport={"width": 1400, "height": 1100}, locale="en-GB", accept_downloads=True)
    page.set_default_timeout(ACT_WITHIN_S * 1000)
    visited = Visit(page=page)

    def guard(route: Any) -> None:
        if route.request.url.startswith((url, "data:", "blob:")):
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
    return visited


@pytest.fixture(scope="module")
def lab_page(browser: Any, lab: Server) -> Visit:
    """Open JupyterLab once for all notebooks, as a person would."""
    visited = _new_visit(browser, lab.url)
    visited.page.goto(f"{lab.url}/lab?token={lab.token}")
    return visited


@pytest.fixture
def in_lab(lab_page: Visit, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Open and run the notebook of the test's module or mark; nothing may go wrong in the page."""
    lab_page.errors.clear()
    lab_page.outside.clear()
    lab_page.run_all(f"notebooks/{request.param}.ipynb")
    lab_page.page.wait_for_selector(".ccp-picture svg text")
    lab_page.page.wait_for_selector(".ccp-panel")
    try:
        yield lab_page
    finally:
        lab_page.page.evaluate(SHUT_DOWN)
    assert lab_page.outside == []
    assert lab_page.errors == []


@pytest.fixture
def in_app(browser: Any, voila: Server, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Open a notebook as an app."""
    visited = _new_visit(browser, voila.url)
    visited.page.goto(f"{voila.url}/voila/render/{request.param}.ipynb", timeout=RUN_WITHIN_S * 1000)
    yield visited
    visited.page.close()
    assert visited.outside == []
