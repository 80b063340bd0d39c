"""The engine: a local cluster of single-threaded workers, or any scheduler by its address."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ccp_assess.fleet.needs import FleetError, need


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where the work is done.

    Parameters
    ----------
    scheduler
        Address; ``None`` starts workers on this machine.
    workers
        How many then; ``None`` for one per processor.
    ca, certificate, key
        Files of TLS; none for Dask's own configuration.
    insecure
        Whether a scheduler on another machine may be spoken to in the clear.
    """

    scheduler: str | None = None
    workers: int | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False


def check_address(address: str, *, insecure: bool) -> None:
    """Refuse to speak in the clear to another machine.

    Parameters
    ----------
    address
        Of a scheduler.
    insecure
        Whether the user asked for that.

    Raises
    ------
    FleetError
        If it would be so, or the address is none.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"tcp", "tls"} or not parts.hostname:
        raise FleetError(f"{address} is no address of a scheduler; write tls://host:8786")
    if parts.scheme == "tls" or insecure or _is_loopback(parts.hostname):
        return
    raise FleetError(
        f"{address}: who can reach a scheduler in the clear can run any program on its workers; use tls:// with "
        "certificates (--tls-ca, --tls-cert, --tls-key), or --insecure on a network that nobody else reaches"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def connect(engine: Engine) -> Iterator[Any]:
    """Start or find the workers.

    Parameters
    ----------
    engine
        Where.

    Yields
    ------
    client
        Of Dask.

    Raises
    ------
    FleetError
        If nobody answers.
    """
    distributed = need("distributed")
    need("dask").config.set({"distributed.comm.timeouts.connect": "10s", "distributed.worker.daemon": True})
    security = _security(distributed, engine)
    if engine.scheduler is None:
        cluster = distributed.LocalCluster(
            n_workers=engine.workers or os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        )
        with cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client
        return
    check_address(engine.scheduler, insecure=engine.insecure)
    try:
        client = distributed.Client(engine.scheduler, security=security, set_as_default=False, timeout=10)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise FleetError(f"{engine.scheduler}: no scheduler answers there ({text})") from error
    with client:
        yield client


def _security(distributed: Any, engine: Engine) -> Any:
    given = (engine.ca, engine.certificate, engine.key)
    if not any(given):
        return None
    if not all(given):
        raise FleetError("TLS needs all three: --tls-ca, --tls-cert and --tls-key")
    return distributed.Security(
        tls_ca_file=engine.ca,
        tls_client_cert=engine.certificate,
        tls_client_key=engine.key,
        require_encryption=True,
    )
