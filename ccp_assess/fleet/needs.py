"""What only the work on many sites needs, loaded when it is needed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ccp_assess.errors import CcpAssessError


class FleetError(CcpAssessError, RuntimeError):
    """The work on many sites cannot begin or go on; the text says what to do."""


def need(module: str) -> Any:
    """Load a module of the extra `fleet`.

    Parameters
    ----------
    module
        Its name.

    Returns
    -------
    module
        Loaded.

    Raises
    ------
    FleetError
        Where it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise _lacking(module) from error


def check_installed() -> None:
    """Ask for everything that the work on many sites needs, without loading it.

    Raises
    ------
    FleetError
        Where something is not installed.
    """
    for module in ("dask", "distributed", "duckdb", "fsspec"):
        if find_spec(module) is None:
            raise _lacking(module)


def _lacking(module: str) -> FleetError:
    name = module.partition(".")[0]
    return FleetError(f"{name} is not installed; run `pip install 'ccp-assess[fleet]'` to work on many sites")
