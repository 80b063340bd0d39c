"""The collector of cyclic garbage rests while records are made, and is afterwards as it was."""

import gc

import pytest

from ccp_assess.memory import collector_at_rest


@collector_at_rest()
def broken_off():
    raise ValueError(f"broken off, collector on: {gc.isenabled()}")


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_afterwards_as_it_was(was_on):
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ValueError, match="collector on: False"):
            broken_off()
        assert gc.isenabled() is was_on
    finally:
        gc.enable()
