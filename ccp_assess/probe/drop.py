"""Handing a signed result over without any program: into a shared folder, or to an address that takes files by PUT.

An address that ends in ``/`` is a folder of a web store (a container with a create-only token, WebDAV): the file gets a
name of its own below it. Any other address is one place for one file, such as a presigned one.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from ccp_assess.errors import ProbeError
from ccp_assess.files import OPEN_MODE, write_whole

TRIES = 3
WAITS_S = (1.0, 3.0)
TIMEOUT_S = 30.0
_ANSWER_BYTES = 4_096
_AZURE = ".blob.core.windows.net"
_THERE = "a file is there already"
_NO_RENAMING = frozenset({errno.EACCES, errno.EPERM, errno.ENOTSUP})


class AlreadyThereError(ProbeError):
    """A file of this name is there already, and was not replaced."""


def drop_name(document: Mapping[str, Any]) -> str:
    """Return a name that says site and time, that every system takes, and that no other file has.

    Parameters
    ----------
    document
        A probe document.

    Returns
    -------
    name
        Such as ``LIS__probe-2026-11-23T090500Z-5f0c1d2e3a4b5c6d.json``.
    """
    return file_name(document).removesuffix(".json") + f"-{secrets.token_hex(8)}.json"


def file_name(document: Mapping[str, Any]) -> str:
    """Return a name that says site and time, and that every system takes.

    Parameters
    ----------
    document
        A probe document.

    Returns
    -------
    name
        Such as ``LIS__probe-2026-11-23T090500Z.json``, which a client folder sorts to its site.

    Examples
    --------
    >>> file_name({"site_id": "LIS/1", "time": "2026-11-23T09:05:00.123456Z"})
    'LIS1__probe-2026-11-23T090500Z.json'
    """
    site = "".join(mark for mark in str(document.get("site_id") or "") if mark.isalnum() or mark in "-_")[:40]
    moment = str(document.get("time") or "")[:19].replace(":", "")
    return f"{site + '__' if site else ''}probe-{moment}Z.json"


def check_folder(where: str) -> None:
    """Check that results can be handed over here one after another; whether the place can be reached is not asked.

    Parameters
    ----------
    where
        A folder, or an address.

    Raises
    ------
    ProbeError
        If it is no folder and no address that ends in ``/``.
    """
    if not _is_address(where):
        return
    parts = urlsplit(where)
    _check_secure(parts.scheme, parts.hostname)
    if not parts.path.endswith("/"):
        raise ProbeError(
            f"{parts.hostname}{parts.path} is a place for one file; name a folder, or an address that ends in / "
            "(before the ?)"
        )


def _is_address(where: str) -> bool:
    kind = re.match(r"([a-z][a-z0-9+.-]+)://", where, re.IGNORECASE)
    if kind is None or kind[1].lower() in {"http", "https"}:
        return kind is not None
    raise ProbeError(f"{kind[1]}:// is not understood; name a folder, or an https:// address of that store")


def _check_secure(scheme: str, host: str | None) -> None:
    if scheme.lower() != "https" and not is_loopback(host or ""):
        raise ProbeError("a result is handed over by https:// only; ask for such an address")


def drop(data: bytes, where: str, name: str, *, proxy: str | None = None) -> str:
    """Hand a file over.

    Parameters
    ----------
    data
        The signed result.
    where
        A folder that is there, or an address that begins with ``https://``.
    name
        Its name in a folder.
    proxy
        ``HOST:PORT``, or ``direct``; ``None`` for that of the system.

    Returns
    -------
    place
        Where it is now, fit to be shown: without the token of an address.

    Raises
    ------
    ProbeError
        If it could not be handed over; `AlreadyThereError` where a file is there that is never replaced.
    """
    if _is_address(where):
        return _put(data, where, name, proxy)
    return _write(data, Path(where), name)


def _write(data: bytes, folder: Path, name: str) -> str:
    if not folder.is_dir():
        raise ProbeError(f"{folder}: there is no such folder; connect the share or mend the path")
    path = folder / name
    try:
        write_whole(path, data)
    except OSError as error:
        if error.errno not in _NO_RENAMING:
            raise ProbeError(f"{folder}: the result cannot be written there ({error.strerror or error})") from error
        _write_once(path, data)  # a letter box: files may be made there, and neither be renamed nor removed
    return str(path)


def _write_once(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags, OPEN_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise AlreadyThereError(f"{path}: the result cannot be written there (a file exists, and stays)") from None
    except OSError as error:
        raise ProbeError(f"{path.parent}: the result cannot be written there ({error.strerror or error})") from error


def _put(data: bytes, url: str, name: str, proxy: str | None) -> str:
    parts = urlsplit(url)
    _check_secure(parts.scheme, parts.hostname)
    if parts.path.endswith("/"):
        parts = parts._replace(path=parts.path + quote(name))
    shown = f"{parts.hostname}{parts.path}"
    # "If-None-Match: *" (RFC 9110, section 13.1.2): what is there already is never replaced
    headers = {"Content-Type": "application/json", "If-None-Match": "*", "User-Agent": "ccp-assess"}
    if (parts.hostname or "").endswith(_AZURE):
        headers["x-ms-blob-type"] = "BlockBlob"
    request = urllib.request.Request(  # noqa: S310 - https, or loopback
        urlunsplit(parts), data, headers, method="PUT"
    )
    _sent(request, _opener(proxy), shown, time.sleep)
    return shown


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine.

    Parameters
    ----------
    host
        Address or name.

    Returns
    -------
    so
        Whether it is, without asking a resolver.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _opener(proxy: str | None) -> urllib.request.OpenerDirector:
    """Speak TLS with certificates checked, through the proxy of the system or the given one."""
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if proxy is not None:
        handlers.append(urllib.request.ProxyHandler({} if proxy == "direct" else {"https": f"http://{proxy}"}))
    return urllib.request.build_opener(*handlers)


def _sent(
    request: urllib.request.Request,
    opener: urllib.request.OpenerDirector,
    shown: str,
    sleep_s: Callable[[float], None],
) -> None:
    told, kind = "", ProbeError
    for number in range(TRIES):
        if number:
            sleep_s(WAITS_S[number - 1])
        try:
            with opener.open(request, timeout=TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            with error:
                told = _reason(error)
            if error.code == 412 and number:
                return  # the answer to an earlier try was lost: it is there
            if error.code < 500 and error.code != 429:
                kind = AlreadyThereError if _THERE in told else ProbeError
                break
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                told = f"its certificate is not trusted ({error.reason.verify_message})"
                break
            told = str(getattr(error.reason, "strerror", None) or error.reason)
        except (OSError, HTTPException, ValueError) as error:
            told = str(getattr(error, "strerror", None) or error or type(error).__name__)
    raise kind(f"{shown}: the result was not taken: {told}")


def _reason(error: urllib.error.HTTPError) -> str:
    """Say what a refusal means; stores write a code into an XML body."""
    body = error.read(_ANSWER_BYTES).decode("utf-8", "replace")
    found = re.search(r"<Code>([A-Za-z]{1,60})</Code>", body)
    code = f"{error.code} {found[1]}" if found else f"{error.code} {error.reason}"
    if error.code == 412 or (error.code == 409 and "exist" in code.lower()):
        return f"{code}: {_THERE}; every result needs an address of its own"
    if error.code in {401, 403}:
        return f"{code}: the address may have expired; ask for a new one"
    if error.code == 407:
        return f"{code}: the proxy wants a sign-in; save the file to a folder instead"
    return code
