"""TLS without a socket, and whose certificate was shown: AWS's, or that of somebody who opens the connection.

One handshake checks the chain and the name by this computer's own store, as a browser does. Only where that fails is
there a second one that does not check, so that the chain can be seen. The public keys of the roots that sign AWS's
certificates are published (``reference/public_roots.csv``).
"""

from __future__ import annotations

import csv
import io
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

from ccp_assess.errors import ParseError
from ccp_assess.probe.records import TlsFound
from ccp_assess.wire.certificates import Certificate, parse_certificate, public_key_hash

SERVICE_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".connect.aws", ".awsapps.com", ".cloudfront.net", ".aws")
PUBLIC_ISSUERS = ("amazon", "starfield", "digicert", "symantec", "verisign", "baltimore")
"""Organisations that sign, or once signed, AWS's certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a finished handshake showed: version, cipher, ALPN and the chain, the server's certificate first (DER)."""

    version: str | None
    cipher: str | None
    alpn: str | None
    chain: tuple[bytes, ...]


class TlsFailed(Exception):  # noqa: N818 -- travels inside this room only
    """The handshake failed.

    Parameters
    ----------
    reason
        In words; hostile.
    untrusted
        Whether it failed because the chain or the name is not trusted.
    """

    def __init__(self, reason: str, *, untrusted: bool = False) -> None:
        self.reason, self.untrusted = reason, untrusted
        super().__init__(reason)


class TlsClient(Protocol):
    """One TLS connection, fed with bytes."""

    def take(self) -> bytes:
        """Return what is to be sent."""

    def give(self, data: bytes) -> None:
        """Take in what has arrived."""

    def shake(self) -> bool:
        """Go on with the handshake; true when it stands.

        Raises
        ------
        TlsFailed
            If it failed.
        """

    def shown(self) -> Shown:
        """Return what the handshake showed."""

    def write(self, data: bytes) -> None:
        """Send application data."""

    def read(self) -> bytes | None:
        """Return what application data has arrived; ``None`` if the other side has closed."""


TlsMaker = Callable[[str, bool], TlsClient]
"""Server name, and whether to check the chain → a connection."""


class SystemTls:
    """TLS by OpenSSL in memory.

    Parameters
    ----------
    server_name
        Goes into SNI and is what the certificate must name.
    check
        Whether the chain and the name are checked by this computer's store.
    """

    def __init__(self, server_name: str, check: bool) -> None:  # noqa: FBT001 -- the one signature of all makers
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context(check).wrap_bio(self._in, self._out, server_hostname=server_name)
        self._check = check

    def take(self) -> bytes:
        """Return what is to be sent."""
        return self._out.read()

    def give(self, data: bytes) -> None:
        """Take in what has arrived."""
        self._in.write(data)

    def shake(self) -> bool:
        """Go on with the handshake."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLCertVerificationError as error:
            raise TlsFailed(error.verify_message or str(error.reason), untrusted=True) from None
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise TlsFailed(str(reason).replace("_", " ").lower()) from None
        return True

    def shown(self) -> Shown:
        """Return what the handshake showed."""
        cipher = self._tls.cipher()
        return Shown(
            version=self._tls.version(),
            cipher=cipher[0] if cipher else None,
            alpn=self._tls.selected_alpn_protocol(),
            chain=_chain(self._tls, verified=self._check),
        )

    def write(self, data: bytes) -> None:
        """Send application data."""
        self._tls.write(data)

    def read(self) -> bytes | None:
        """Return what application data has arrived: all of it, since OpenSSL gives one record at a time."""
        data = b""
        while True:
            try:
                piece = self._tls.read(65536)
            except ssl.SSLWantReadError:
                return data
            except (ssl.SSLError, OSError):
                piece = b""
            if not piece:
                return data or None
            data += piece


def prepare_tls() -> None:
    """Read this computer's trusted certificates before anything is timed."""
    _context(True)  # noqa: FBT003 -- the two values of the cache
    _context(False)  # noqa: FBT003


@cache
def _context(check: bool) -> ssl.SSLContext:  # noqa: FBT001 -- the two values of the cache
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _chain(tls: ssl.SSLObject, *, verified: bool) -> tuple[bytes, ...]:
    """Return the chain in DER. Python shows it in public since 3.13; before, one level below."""
    name = "get_verified_chain" if verified else "get_unverified_chain"
    public = getattr(tls, name, None)
    if public is not None:
        return tuple(public())
    inner: Any = getattr(getattr(tls, "_sslobj", None), name, None)
    if inner is not None:
        return tuple(_der(one) for one in inner() or ())
    own = tls.getpeercert(binary_form=True)
    return (own,) if own else ()


def _der(one: Any) -> bytes:
    encoded = one.public_bytes(2)  # _ssl.ENCODING_DER
    return bytes(encoded)


# ---------------------------------------------------------------- whose certificate it is


@cache
def published_keys() -> dict[str, str]:
    """Read the published roots: SHA-256 of the public key → name of the root."""
    content = resources.files("ccp_assess.reference").joinpath("public_roots.csv").read_text(encoding="utf-8")
    return {row["spki_sha256"]: row["name"] for row in csv.DictReader(io.StringIO(content))}


def is_service_name(host: str) -> bool:
    """Tell whether a name is one of AWS's, whose certificates only published roots sign."""
    return ("." + host.lower().rstrip(".")).endswith(SERVICE_SUFFIXES)


def judge_tls(
    host: str, shown: Shown, handshake_ms: float | None, *, trusted: bool, verify_error: str | None
) -> TlsFound:
    """Say whose certificate was shown.

    Parameters
    ----------
    host
        Name that was asked for.
    shown
        What the handshake showed.
    handshake_ms
        How long it took [ms].
    trusted
        Whether this computer's store vouches for the chain.
    verify_error
        Why not.

    Returns
    -------
    found
        ``intercepted`` is true if neither a published root nor a known issuer of AWS's stands behind a name of AWS's;
        ``None`` for a name that is none of AWS's and is not trusted (a private deployment may sign by itself).
    """
    chain = tuple(_parsed(der) for der in shown.chain)
    leaf, top = (chain[0], chain[-1]) if chain else (None, None)
    published = any(public_key_hash(der) in published_keys() for der in shown.chain) if chain else None
    return TlsFound(
        outcome="ok",
        handshake_ms=handshake_ms,
        version=shown.version,
        cipher=shown.cipher,
        alpn=shown.alpn,
        issuer=leaf.issuer.text if leaf else None,
        subject_names=leaf.names[:20] if leaf else (),
        root_name=_root_name(top),
        root_published=published,
        trusted=trusted,
        verify_error=verify_error,
        intercepted=_intercepted(host, chain, published=published, trusted=trusted),
        not_before=leaf.not_before if leaf else None,
        not_after=leaf.not_after if leaf else None,
    )


def _parsed(der: bytes) -> Certificate | None:
    try:
        return parse_certificate(der)
    except ParseError:
        return None


def _root_name(top: Certificate | None) -> str | None:
    if top is None:
        return None
    return top.subject.text if top.is_self_signed else top.issuer.text


def _intercepted(
    host: str, chain: Sequence[Certificate | None], *, published: bool | None, trusted: bool
) -> bool | None:
    leaf = chain[0] if chain else None
    if leaf is None:
        return None
    if not is_service_name(host):
        return False if trusted else None
    known = any(word in (leaf.issuer.text or "").lower() for word in PUBLIC_ISSUERS)
    if trusted:
        # A new root of AWS's is not in our table yet; its name and this computer's store then speak for it.
        return not (published or known)
    # A chain that nobody vouches for: a wrong clock spoils a genuine one, too; any other may carry any name.
    return None if published else not known or None
