"""Ctrl-C for commands that go on until somebody ends them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def heard_interrupts() -> Iterator[Callable[[float], None]]:
    """Let no Ctrl-C be lost: Python drops the exception where it meets the finalizer of a file object.

    Yields
    ------
    sleep_s
        Waits so many seconds; it raises `KeyboardInterrupt` where one was lost before.
    """
    heard = False

    def interrupt(_number: int, _frame: Any) -> None:
        nonlocal heard
        heard = True
        raise KeyboardInterrupt

    def sleep_s(seconds: float) -> None:
        if heard:
            raise KeyboardInterrupt
        time.sleep(seconds)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield sleep_s
    finally:
        signal.signal(signal.SIGINT, before)
