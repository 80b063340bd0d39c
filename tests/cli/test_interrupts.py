"""Ctrl-C at the moments where Python drops it."""

from __future__ import annotations

import io
import signal

import pytest

from ccp_assess.cli.interrupts import heard_interrupts


class Opened(io.RawIOBase):
    """A file object like those of storage libraries, told to end just while it is finalized."""

    @property
    def closed(self) -> bool:
        signal.raise_signal(signal.SIGINT)
        return True


def test_an_interrupt_dropped_by_a_finalizer_is_heard_when_waiting() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heard_interrupts() as sleep_s:
        sleep_s(0)
        file = Opened()
        del file  # the exception of the handler goes no further than this
        with pytest.raises(KeyboardInterrupt):
            sleep_s(60)
    assert signal.getsignal(signal.SIGINT) is before


def test_any_other_interrupt_ends_the_work_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), heard_interrupts():
        signal.raise_signal(signal.SIGINT)
