"""The engine: a local cluster of single-threaded workers, or any scheduler by its address."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ccp_assess.fleet.certificates import certificate_of_a_run, check_certificate
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.units import PART_BYTES
from ccp_assess.probe.drop import is_loopback

_ANSWER_S = 10
_WORKERS_WAIT_S = 30
_ROLES = ("scheduler", "worker", "client")
_SILENT_WORKER = "60s"
"""One that is silent for so long is hung: Dask ends it, starts another and gives that its work."""


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
        Files of TLS; none for those that Dask's own configuration names.
    insecure
        Whether a scheduler on another machine may be spoken to in the clear.
    part_bytes
        Larger units are read in parts of this size [bytes].
    hash_inputs
        Whether the checksum of each file of the source is recorded.
    """

    scheduler: str | None = None
    workers: int | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False
    part_bytes: int = PART_BYTES
    hash_inputs: bool = False


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
    if parts.scheme == "tls" or insecure or is_loopback(parts.hostname):
        return
    raise FleetError(
        f"{address}: who can reach a scheduler in the clear can run any program on its workers; use tls:// with "
        "certificates (--tls-ca, --tls-cert, --tls-key), or --insecure on a network that nobody else reaches"
    )


def dask_setup(_worker: object) -> None:
    """Let Ctrl-C end the run alone, which then ends its workers; Dask calls this in each of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
    need("dask").config.set(
        {
            "distributed.comm.timeouts.connect": "10s",
            "distributed.worker.daemon": True,
            "distributed.scheduler.worker-ttl": _SILENT_WORKER,  # of the one in this process
        }
    )
    if engine.scheduler is None:
        if any((engine.ca, engine.certificate, engine.key)):
            raise FleetError("--tls-ca, --tls-cert and --tls-key are for a scheduler elsewhere; give --scheduler too")
        cluster = distributed.LocalCluster(
            n_workers=engine.workers or os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            protocol="tls",  # other users of this machine reach its loopback too
            security=_security_of_a_run(distributed),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
            preload=[__name__],
        )
        with cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client
        return
    with _client_of(distributed, engine, engine.scheduler) as client:
        yield client


def _client_of(distributed: Any, engine: Engine, address: str) -> Any:
    """Reach a scheduler that has workers."""
    check_address(address, insecure=engine.insecure)
    security = _security(distributed, engine, address)
    try:
        client = distributed.Client(address, security=security, set_as_default=False, timeout=_ANSWER_S)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError, AssertionError) as error:
        raise FleetError(f"{address}: {_why(error, address)}") from error
    try:
        client.wait_for_workers(1, timeout=_WORKERS_WAIT_S)
    except (TimeoutError, distributed.TimeoutError) as error:
        client.close()
        raise FleetError(
            f"{address}: the scheduler has no workers; start some with `dask worker {address}` and run this again"
        ) from error
    return client


def _why(error: BaseException, address: str) -> str:
    """Say in one sentence why a scheduler could not be reached."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    told = " ".join(texts).casefold()
    if "certificate_verify_failed" in told:
        return "its certificate is not of the authority in --tls-ca, or has expired; use the files of its own cluster"
    if "wrong_version_number" in told or "cannot convert to ssl" in told:
        return "no TLS is spoken there; was it started with --protocol tls and the three --tls files?"
    if address.startswith("tls") and any(word in told for word in ("alert", "eof occurred", "reset by peer", "closed")):
        return "it refuses the certificate in --tls-cert; use the files that were made for its own cluster"
    if address.startswith("tcp") and ("reset by peer" in told or "closed" in told):
        return "it does not speak in the clear; write tls:// and give --tls-ca, --tls-cert and --tls-key"
    return f"no scheduler answers there ({(texts[0] or type(error).__name__).splitlines()[0]})"


def _security_of_a_run(distributed: Any) -> Any:
    certificate, key = certificate_of_a_run(datetime.now(UTC))
    roles = {f"tls_{role}_{what}": pem for role in _ROLES for what, pem in (("cert", certificate), ("key", key))}
    return distributed.Security(require_encryption=True, tls_ca_file=certificate, **roles)


def _security(distributed: Any, engine: Engine, address: str) -> Any:
    given = (engine.ca, engine.certificate, engine.key)
    if address.startswith("tcp"):
        if any(given):
            raise FleetError(f"{address}: certificates are for tls://, and tcp:// is in the clear; write tls://")
        return None
    if not any(given):  # Dask's own configuration may name them
        known = distributed.Security()
        given = (known.tls_ca_file, known.tls_client_cert, known.tls_client_key)
    ca, certificate, key = given
    if not (ca and certificate and key):
        raise FleetError(f"{address}: TLS needs all three: --tls-ca, --tls-cert and --tls-key")
    check_certificate(Path(certificate), Path(key), Path(ca), now=datetime.now(UTC))
    return distributed.Security(
        tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
    )
