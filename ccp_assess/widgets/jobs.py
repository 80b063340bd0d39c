"""Long work beside the kernel's main thread: with progress, a button that stops it, and a sentence where it fails."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import ipywidgets

from ccp_assess.errors import CcpAssessError
from ccp_assess.widgets.panel import button, problem_html, said_html
from ccp_assess.widgets.progress import Progress, progress_html

_T = TypeVar("_T")
_SHOW_EVERY_S = 0.1


class _Stopped(Exception):  # noqa: N818 - it is no error
    """The person pressed the button; raised from within the work's own call of progress."""


class Job(Generic[_T]):
    """Runs one piece of work at a time and shows how far it is.

    In a notebook the work runs in a thread and whatever it says is shown by the kernel's own thread; without a kernel
    around it (a script, a test) it runs at once.

    Parameters
    ----------
    done
        Called with the result, in the kernel's thread.
    part
        Called, in the kernel's thread, with what the work tells before it ends.
    html
        Shows one moment of the progress.
    stopped
        What is said when the work was stopped.

    Attributes
    ----------
    shown
        Progress, or the sentence that it ended with.
    stop
        Button: stops the work at its next step; what was written by then stays whole.
    box
        Both.
    """

    def __init__(
        self,
        done: Callable[[_T], None],
        part: Callable[[Any], None] | None = None,
        *,
        html: Callable[[str, int, int], str] = progress_html,
        stopped: str = "Stopped. What was there before is unchanged.",
    ) -> None:
        self._done, self._part, self._html, self._stopped = done, part, html, stopped
        self._post: Callable[[Callable[[], None]], None] = _at_once
        self.shown = ipywidgets.HTML()
        self.stop = button("Stop")
        self.stop.layout.display = "none"
        self.stop.on_click(self._on_stop)
        self.box = ipywidgets.HBox([self.shown, self.stop])
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown_at = 0.0

    @property
    def is_running(self) -> bool:
        """Whether work is under way."""
        return self._thread is not None

    def start(self, work: Callable[[Progress], _T], what: str) -> None:
        """Begin.

        Parameters
        ----------
        work
            Gets ``progress(what, done, total)`` to call; it is stopped from within that call.
        what
            What is being done, shown until the work says more.
        """
        if self.is_running:
            return
        self._stopping.clear()
        self.shown.value = self._html(what, 0, 0)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody is waiting
            self._post = _at_once
            self._run(work)
            return

        def post(then: Callable[[], None]) -> None:
            loop.call_soon_threadsafe(then)

        self._post = post
        self.stop.layout.display = ""
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def tell(self, part: Any) -> None:
        """Tell something before the work ends; called by the work itself.

        Parameters
        ----------
        part
            Whatever ``part`` of this job understands.
        """
        if self._part is not None:
            hear = self._part
            self._post(lambda: hear(part))

    def _run(self, work: Callable[[Progress], _T]) -> None:
        post = self._post

        def progress(what: str, done: int, total: int, /) -> None:
            if self._stopping.is_set():
                raise _Stopped
            now = time.monotonic()
            if now - self._shown_at >= _SHOW_EVERY_S or done >= total:
                self._shown_at = now
                post(lambda: self._show(self._html(what, done, total)))

        try:
            result = work(progress)
        except _Stopped:
            post(lambda: self._end(said_html(self._stopped)))
        except CcpAssessError as error:
            sentence = problem_html(str(error))
            post(lambda: self._end(sentence))
        except Exception as error:  # noqa: BLE001 - a thread's exception is seen by nobody else
            sentence = problem_html(f"This did not work, by a fault of the toolkit: {type(error).__name__}: {error}.")
            post(lambda: self._end(sentence))
        else:
            post(lambda: self._finish(result))

    def _show(self, html: str) -> None:
        if self.is_running:
            self.shown.value = html

    def _end(self, html: str) -> None:
        self._thread = None
        self.stop.layout.display = "none"
        self.shown.value = html

    def _finish(self, result: _T) -> None:
        self._end("")
        self._done(result)

    def _on_stop(self, _button: ipywidgets.Button) -> None:
        self._stopping.set()
        self.shown.value = said_html("Stopping after this step …")


def _at_once(then: Callable[[], None]) -> None:
    then()


class Latest(Generic[_T]):
    """Works out the answer to the last question only: what is asked meanwhile replaces what still waits.

    In a notebook the work runs in a thread and the answer comes back to the kernel's own; without a kernel around it
    (a script, a test) it is worked out at once.
    """

    def __init__(self) -> None:
        self._wanted: tuple[Callable[[], _T], Callable[[_T], None]] | None = None
        self._is_running = False

    def ask(self, work: Callable[[], _T], done: Callable[[_T], None]) -> None:
        """Ask.

        Parameters
        ----------
        work
            Works out the answer; it must not touch widgets.
        done
            Called with it in the kernel's thread, unless something else was asked meanwhile.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            done(work())
            return
        self._wanted = (work, done)
        if not self._is_running:
            self._is_running = True
            loop.create_task(self._run())  # noqa: RUF006 - it ends by itself, and the loop of a kernel lives on

    def forget(self) -> None:
        """Want no answer any more, not even that to what is being worked out."""
        self._wanted = None

    async def _run(self) -> None:
        try:
            while (asked := self._wanted) is not None:
                work, done = asked
                answer = await asyncio.to_thread(work)
                if self._wanted is asked:
                    self._wanted = None
                    done(answer)
        finally:
            self._is_running = False
