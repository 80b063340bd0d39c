"""Work that goes on beside the main one and never keeps an interrupted program from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Beside(Generic[Found]):
    """Call a function in a thread of its own; the program does not wait for it unless :meth:`result` is asked for.

    Parameters
    ----------
    call
        What to do; it mostly waits for a process.
    """

    def __init__(self, call: Callable[[], Found]) -> None:
        self._call = call
        self._found: list[Found] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:  # noqa: BLE001 -- it is raised again where the result is asked for
            self._error = error

    def is_done(self) -> bool:
        """Tell whether :meth:`result` would not wait."""
        return not self._thread.is_alive()

    def result(self) -> Found:
        """Wait for what the function returns, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]
