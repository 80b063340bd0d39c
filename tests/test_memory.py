"""The collector of cyclic garbage rests while records are made; large blocks of memory are used again."""

import gc
import os
import platform
import subprocess
import sys

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


FAULTS = """
import resource, sys
import numpy as np
from ccp_assess.memory import keep_large_blocks
if sys.argv[1] == "kept":
    keep_large_blocks()
def touch():
    for _ in range(50):
        np.ones(500_000)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these limits")
def test_large_blocks_are_used_again_in_a_process_that_dask_started():
    def faults(how):
        environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    assert faults("kept") < faults("as it is") / 5
