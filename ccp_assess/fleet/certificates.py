"""Certificates for a scheduler, its workers and whoever sends them work: an authority of their own, made once.

Dask does not compare host names: whoever holds a certificate that the authority signed belongs to the cluster. So each
cluster gets an authority of its own, whose key is never written: nobody can sign another member later.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ccp_assess.files import OPEN_MODE, PRIVATE_FOLDER_MODE, PRIVATE_MODE, write_whole
from ccp_assess.fleet.needs import FleetError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

MEMBERS = ("scheduler", "worker", "client")
AUTHORITY = "ca"
DAYS = 30
_SKEW = timedelta(hours=1)
_ANY_CLOCK = timedelta(days=20 * 365)


def write_certificates(folder: Path, *, now: datetime, days: int = DAYS) -> tuple[Path, ...]:
    """Make an authority and a certificate with its key for each member of a cluster.

    Parameters
    ----------
    folder
        Where ``ca.pem`` and for each member ``NAME.pem`` and ``NAME.key`` shall stand.
    now
        They are valid from an hour before it, for clocks that differ.
    days
        How long they are valid [days].

    Returns
    -------
    paths
        What was written.

    Raises
    ------
    FleetError
        Where some stand there already, or nothing can be written.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only this command needs it
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - the same

    names = [f"{AUTHORITY}.pem", *(f"{name}.{kind}" for name in MEMBERS for kind in ("pem", "key"))]
    if present := [name for name in names if (folder / name).exists()]:
        raise FleetError(
            f"{folder / present[0]} is there already; a cluster keeps its certificates, or choose another --out"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    since, until = now.astimezone(UTC) - _SKEW, now.astimezone(UTC) + timedelta(days=days)
    authority = _sign(AUTHORITY, key, None, key, since=since, until=until)
    contents = {f"{AUTHORITY}.pem": authority.public_bytes(serialization.Encoding.PEM)}
    for name in MEMBERS:
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, own, authority, key, since=since, until=until)
        contents[f"{name}.pem"] = certificate.public_bytes(serialization.Encoding.PEM)
        contents[f"{name}.key"] = _key_bytes(own)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
        for name, content in contents.items():
            write_whole(folder / name, content, mode=PRIVATE_MODE if name.endswith(".key") else OPEN_MODE)
    except OSError as error:
        raise FleetError(f"{folder}: the certificates cannot be written there ({error.strerror or error})") from error
    return tuple(folder / name for name in contents)


def certificate_of_a_run(now: datetime) -> tuple[str, str]:
    """Make what the processes of one run on one machine know each other by; it is written nowhere.

    Parameters
    ----------
    now
        It is valid for decades before and after: it ends with its run, whatever is done to the clock meanwhile.

    Returns
    -------
    certificate, key
        Certificate, its own authority, and its key (PEM).
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - the same

    key = ec.generate_private_key(ec.SECP256R1())
    now = now.astimezone(UTC)
    certificate = _sign("run", key, None, key, since=now - _ANY_CLOCK, until=now + _ANY_CLOCK)
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"), _key_bytes(key).decode("ascii")


def _key_bytes(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _sign(
    name: str,
    own: EllipticCurvePrivateKey,
    authority: Certificate | None,
    key: EllipticCurvePrivateKey,
    *,
    since: datetime,
    until: datetime,
) -> Certificate:
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - the same
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415 - the same

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ccp-assess fleet {name}")])
    limits = x509.BasicConstraints(ca=authority is None, path_length=0 if authority is None else None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(limits, critical=True)
    )
    if authority is not None:  # scheduler and workers call each other; who only sends work cannot pass for them
        calls = [ExtendedKeyUsageOID.CLIENT_AUTH]
        usages = calls if name == "client" else [ExtendedKeyUsageOID.SERVER_AUTH, *calls]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(key, hashes.SHA256())


def check_certificate(certificate: Path, key: Path, ca: Path, *, now: datetime) -> None:
    """Refuse files of TLS that no scheduler would accept, before it is asked.

    Parameters
    ----------
    certificate, key, ca
        PEM files.
    now
        The time.

    Raises
    ------
    FleetError
        Where one cannot be read, is not valid at this time, or the key is another's.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above

    leaf, *_ = _certificates(certificate, "--tls-cert", now)
    _certificates(ca, "--tls-ca", now)
    try:
        own = serialization.load_pem_private_key(_read(key, "--tls-key"), password=None)
    except (ValueError, TypeError) as error:
        raise FleetError(f"{key}: is no key in PEM without a password; give one as --tls-key") from error
    if own.public_key() != leaf.public_key():
        raise FleetError(f"{key}: is not the key of {certificate}; give the two that belong together")


def _certificates(path: Path, option: str, now: datetime) -> list[Certificate]:
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        found = x509.load_pem_x509_certificates(_read(path, option))
    except ValueError as error:
        raise FleetError(f"{path}: is no certificate in PEM; give one as {option}") from error
    own = found[:1] if option == "--tls-cert" else found  # a chain begins with the own one; of authorities one will do
    until = max(one.not_valid_after_utc for one in own)
    since = min(one.not_valid_before_utc for one in own)
    if now > until:
        raise FleetError(f"{path}: the certificate expired on {until:%Y-%m-%d %H:%M} UTC; make new ones")
    if now < since:
        raise FleetError(
            f"{path}: the certificate is valid from {since:%Y-%m-%d %H:%M} UTC on, which is later than this machine's "
            "clock; set the clock"
        )
    return found


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FleetError(f"{path}: cannot be read ({error.strerror or error}); give a file as {option}") from error
