"""How loops over packets become machine code, once, and where that code is kept.

A *kernel* is entered from Python, runs without the interpreter's lock and is kept on disk; a *helper* is only called from
kernels and is compiled into them. numba checks the file of a kernel for changes but not the files of its helpers, so the
folder of the kept code is named after the contents of all of them. It lies beside the package where that can be written,
else in the user's cache folder, else in a temporary one.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])

FORGET_AFTER_S = 30 * 86_400

_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = (
    "wire/columns.py",
    "wire/compiled.py",
    "wire/framing.py",
    "wire/ip.py",
    "wire/link.py",
    "wire/rtp.py",
    "wire/turn.py",
    "traffic/flows.py",
    "traffic/playout.py",
    "traffic/streams.py",
    "traffic/tracking.py",
    "traffic/measuring.py",
)


def _digest() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = _PACKAGE / name
        if path.exists():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _candidates() -> list[Path]:
    home = Path.home() if "HOME" in os.environ or os.name == "nt" else None
    folders = [_PACKAGE / "__pycache__"]
    if "XDG_CACHE_HOME" in os.environ:
        folders.append(Path(os.environ["XDG_CACHE_HOME"]) / "ccp-assess")
    elif os.name == "nt" and "LOCALAPPDATA" in os.environ:
        folders.append(Path(os.environ["LOCALAPPDATA"]) / "ccp-assess" / "cache")
    elif home is not None:
        folders.append(home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ccp-assess")
    owner = str(os.getuid()) if hasattr(os, "getuid") else "user"
    folders.append(Path(tempfile.gettempdir()) / f"ccp-assess-{owner}")
    return folders


@cache
def kernel_folder() -> Path:
    """Return the folder that holds the compiled kernels of exactly these sources.

    Returns
    -------
    folder
        It exists and can be written.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):  # whoever sets this means it
        return Path(os.environ["NUMBA_CACHE_DIR"])
    name = f"kernels-{_digest()}"
    for parent in _candidates():
        folder = parent / name
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            _remove_others(parent, name)
            return folder
    return Path(tempfile.mkdtemp(prefix="ccp-assess-kernels-"))


def _remove_others(parent: Path, name: str) -> None:
    """Remove kernels of sources that nobody used for a month, so that the folder does not grow with every change."""
    for old in parent.glob("kernels-*"):
        with suppress(OSError):
            if old.name != name and time.time() - old.stat().st_mtime > FORGET_AFTER_S:
                for path in sorted(old.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                old.rmdir()


def kernels_are_ready() -> bool:
    """Tell whether the kernels were compiled before, so that a first run can say what it waits for.

    Returns
    -------
    ready
        Whether compiled code for these sources is on disk.
    """
    return any(kernel_folder().rglob("*.nbc"))


def kernel(function: Function) -> Function:
    """Compile a function that Python calls: no interpreter lock, kept on disk.

    Parameters
    ----------
    function
        A loop over arrays.

    Returns
    -------
    kernel
        The same function, compiled when it is first called.
    """
    before = config.CACHE_DIR
    config.CACHE_DIR = str(kernel_folder())  # numba looks here while it decorates, and only then
    try:
        compiled: Function = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    return compiled


def inlined(function: Function) -> Function:
    """Compile a function that only kernels call, into the very place of the call: for what every packet needs.

    Parameters
    ----------
    function
        A small step of a loop.

    Returns
    -------
    inlined
        The same function; arrays cost nothing to pass to it.
    """
    compiled: Function = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    return compiled


def helper(function: Function) -> Function:
    """Compile a function that only kernels call.

    Parameters
    ----------
    function
        A small step of a loop.

    Returns
    -------
    helper
        The same function, compiled into each kernel that uses it.
    """
    compiled: Function = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled
