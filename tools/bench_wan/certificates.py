"""Certificates of the bench: an authority that stands for the public ones, and those of boxes that inspect TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=30)


def _named(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


class Authority:
    """Issue certificates for any name, at once, into a folder."""

    def __init__(self, folder: Path, organisation: str, common: str) -> None:
        self.folder, self.subject = folder, _named(organisation, common)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.key_file, self.file = folder / "authority.key", folder / "authority.pem"
        if self.file.exists():
            self.key = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
            return
        self.key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            key_cert_sign=True,
            crl_sign=True,
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        root = (
            self._started(self.subject, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.key_file.write_bytes(_private(self.key))
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def _started(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - LIFETIME)
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )

    def context_for(self, name: str) -> ssl.SSLContext:
        """Give a server's side of TLS with a certificate for a name or an address."""
        if name not in self.contexts:
            self.contexts[name] = self._context(name)
        return self.contexts[name]

    def _context(self, name: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        leaf = (
            self._started(_named("Bench", name[:64]), key.public_key())
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(dir=self.folder) as chain:
            chain.write(_private(key) + leaf.public_bytes(serialization.Encoding.PEM) + self.file.read_bytes())
            chain.flush()
            context.load_cert_chain(chain.name)
        return context

    def server(self, fallback: str) -> ssl.SSLContext:
        """Give a server's side of TLS that has a certificate for whatever name is asked for."""
        context = self._context(fallback)

        def chosen(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name:
                connection.context = self.context_for(name.lower())

        context.sni_callback = chosen  # type: ignore[assignment]
        return context


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
