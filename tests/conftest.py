"""What every test shares: no outside network, the real data beside the checkout, and no silent skips in CI."""

import os
import shutil
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

collect_ignore_glob = ["conftest.py", "*/conftest.py"]  # they hold no doctests, and share one module name

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# Time is no property of a parser on a busy machine; and what CI finds must be what anyone finds again.
settings.register_profile("ours", deadline=None, derandomize=IN_CI)
settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the real data where it does not stand beside the checkout."""
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason="the real data is not beside this checkout")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Turn a skip for a missing tool into a failure in CI: there it must be installed by our own files."""
    outcome = yield
    report = outcome.get_result()
    if IN_CI and report.skipped and "missing tool" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped for a missing tool, which is a failure in CI: {report.longrepr}"


def require_tool(*names: str) -> str:
    """Return the path of the first tool found, or skip (in CI: fail)."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    pytest.skip(f"missing tool: {' or '.join(names)}")


@pytest.fixture
def tool() -> Any:
    """Give tests `tool("tshark")`: its path, or a skip that CI counts as a failure."""
    return require_tool


@pytest.fixture(scope="module")
def play() -> Generator[Any, None, None]:
    """Start Playwright once for a module: as long as it lives, other tests could start no event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="missing tool: playwright")
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture
def shared() -> Path:
    """Return the folder of real data beside the checkout."""
    return SHARED


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    return host in {"localhost", "::1", ""} or host.startswith("127.")


@pytest.fixture(autouse=True)
def _no_outside_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            pytest.fail(f"a test tried to reach {address}: only loopback is allowed")
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        if not _is_local(address):
            pytest.fail(f"a test tried to reach {address}: only loopback is allowed")
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)
