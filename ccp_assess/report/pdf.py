"""Printing a page to PDF by a browser that this computer has; without one there is no PDF, and that is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
    "brave-browser",
)
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
    r"%ProgramFiles%\Microsoft\Edge\Application\msedge.exe",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What came of printing.

    Parameters
    ----------
    path
        The PDF; ``None`` if there is none.
    reason
        Why there is none, one sentence; empty if there is one.
    """

    path: Path | None
    reason: str = ""


def find_browser() -> str | None:
    """Find a browser that can print.

    Returns
    -------
    path
        ``None`` if this computer has none that we know.
    """
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return found
    places = (os.path.expandvars(place) for place in _PLACES)
    return next((place for place in places if Path(place).is_file()), None)


def print_pdf(page: Path, target: Path, *, browser: str | None = None, timeout_s: float = 60.0) -> Printed:
    """Print a page to PDF with a throw-away profile; the file appears whole or not at all.

    Parameters
    ----------
    page
        The HTML file.
    target
        Where the PDF shall stand.
    browser
        Which browser; looked for if ``None``.
    timeout_s
        How long it may take [s].

    Returns
    -------
    printed
        The path, or the reason why there is none.
    """
    browser = browser or find_browser()
    if browser is None:
        return Printed(
            path=None,
            reason="No PDF was made: neither Chromium, Chrome nor Edge was found; open the page and print it.",
        )
    with tempfile.TemporaryDirectory(prefix="ccp-assess-print-", ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / "report.pdf"
        command = [
            browser,
            "--headless=new",
            "--disable-gpu",
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--proxy-server=127.0.0.1:9",
            f"--user-data-dir={Path(folder) / 'profile'}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={draft}",
            page.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # Chromium refuses its sandbox to root, as in containers
            command.insert(1, "--no-sandbox")
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL)  # noqa: S603 - a browser found on this computer, no shell
        except subprocess.TimeoutExpired:
            return Printed(
                path=None,
                reason=f"No PDF was made: the browser needed more than {timeout_s:.0f} s; print the page by hand.",
            )
        except (OSError, subprocess.CalledProcessError):
            return Printed(
                path=None,
                reason=f"No PDF was made: {Path(browser).name} could not print the page; open it and print it.",
            )
        if not draft.is_file() or draft.read_bytes()[:5] != b"%PDF-":
            return Printed(
                path=None, reason=f"No PDF was made: {Path(browser).name} wrote none; open the page and print it."
            )
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(draft, beside)
        beside.replace(target)
    return Printed(path=target)
