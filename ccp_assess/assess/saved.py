"""The document of an assessment, wherever it is: saved beside a report, or made now from a client folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ccp_assess.errors import CcpAssessError
from ccp_assess.shapes import has_shape, parse_json

FILE = "assessment.json"

_SAYS = {"code": str, "severity": str, "text": str, "evidence": (dict, None)}
_SOMEWHERE = {"site_id": (str, None), "region_code": (str, None)}
_SHAPE: dict[str, Any] = {
    "findings": [{**_SAYS, **_SOMEWHERE, "file": (str, None)}],
    "measurements": [
        {
            "source": (str, None),
            "site_id": (str, None),
            "regions": [{"region_code": (str, None), "diagnosis": ([_SAYS], None)}],
        }
    ],
    "tested": [{"kind": str, **_SOMEWHERE, "vantage": (str, None), "time": (str, None)}],
    "recommendation": ({"regions": ([str], None)}, None),
}
"""What is read of it again; whatever else it holds is only for others."""


def read_assessment(path: str | Path) -> dict[str, Any]:
    """Read a saved assessment.

    Parameters
    ----------
    path
        ``assessment.json``, or the folder that ``ccp-assess assess --out`` wrote it into.

    Returns
    -------
    document
        The document of ``ccp-assess assess``.

    Raises
    ------
    CcpAssessError
        If there is none, or if it is not such a document.
    """
    file = Path(path)
    if file.is_dir():
        file /= FILE
    try:
        document = parse_json(file.read_bytes())
    except OSError as error:
        raise CcpAssessError(
            f"{path} holds no {FILE} ({error.strerror}); give the folder that `ccp-assess assess --out` wrote, or a "
            "client folder"
        ) from error
    except ValueError as error:
        raise CcpAssessError(f"{file} is no JSON ({error}); assess the client again") from error
    if not has_shape(document, _SHAPE):
        raise CcpAssessError(f"{file} is not what `ccp-assess assess` writes; assess the client again")
    return dict(document)


def is_client_folder(path: str | Path) -> bool:
    """Tell a client folder from one that only holds results.

    Parameters
    ----------
    path
        A folder.

    Returns
    -------
    is_client
        Whether there is something to assess.
    """
    folder = Path(path)
    return any((folder / name).exists() for name in ("client.toml", "sites.csv")) or any(folder.glob("*.xlsx"))
