"""Small real servers on loopback: DNS, STUN, TLS with WebSocket, and proxies; each with the faults that tests need."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import socketserver
import ssl
import threading
from email.utils import formatdate

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ccp_assess.probe.https import accept_key
from ccp_assess.probe.virtual_ways import stun_server
from ccp_assess.wire import dns
from ccp_assess.wire.http import parse_head


class Authority:
    """A certificate authority with a server's certificate, as files."""

    def __init__(self, folder, organisation, *names):
        self.folder, self.organisation = folder, organisation
        folder.mkdir(parents=True, exist_ok=True)
        key, own = ec.generate_private_key(ec.SECP256R1()), self._name(f"{organisation} Root")
        server_key = ec.generate_private_key(ec.SECP256R1())
        root = self._builder(own, own, key.public_key())
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        leaf = self._builder(own, self._name("server"), server_key.public_key())
        leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        self.root_file = folder / "root.pem"
        self.chain_file = folder / "chain.pem"
        signed = [one.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) for one in (leaf, root)]
        self.root_file.write_bytes(signed[1])
        private = server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.chain_file.write_bytes(signed[0] + signed[1] + private)

    def _name(self, common):
        parts = ((NameOID.ORGANIZATION_NAME, self.organisation), (NameOID.COMMON_NAME, common))
        return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])

    def _builder(self, issuer, subject, key):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .issuer_name(issuer)
            .subject_name(subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=9))
        )

    def context(self):
        """Return a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file)
        return context


@contextlib.contextmanager
def serving(handle):
    """Run a server on loopback; give its address and port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError, ssl.SSLError):
                handle(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_address
        finally:
            server.shutdown()
            thread.join()


def _head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece:
            raise OSError("closed")
        data += piece
    return parse_head(data)


def web(authority, *, websocket="upgrade", ahead_s=0.0, requests=None):
    """Handle a TLS connection with HTTP: ``upgrade``, ``refuse``, ``strip`` or ``close`` the WebSocket."""

    def handle(connection):
        with authority.context().wrap_socket(connection, server_side=True) as tls:
            asked = _head(tls)
            if requests is not None:
                requests.append(asked)
            date = f"Date: {formatdate(dt.datetime.now(dt.UTC).timestamp() + ahead_s, usegmt=True)}\r\n"
            key = asked.get("sec-websocket-key")
            if key is None or websocket == "strip":
                tls.sendall(f"HTTP/1.1 200 OK\r\n{date}Content-Length: 0\r\n\r\n".encode())
            elif websocket == "upgrade":
                granted = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n"
                tls.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{date}{granted}\r\n".encode())
            elif websocket == "refuse":
                tls.sendall(f"HTTP/1.1 403 Forbidden\r\n{date}x-amzn-RequestId: 7\r\n\r\n".encode())

    return handle


def relay(*, silent=()):
    """Answer STUN over UDP; message types in ``silent`` are not answered."""

    def answer(data, client):
        if data[:2] not in silent:
            yield from (reply for _, reply in stun_server(data, client))

    return answer


def relay_by_stream(authority=None):
    """Handle STUN over TCP, or over TLS where an authority is given."""

    def handle(connection):
        stream = connection if authority is None else authority.context().wrap_socket(connection, server_side=True)
        with stream:
            while True:
                head = _exactly(stream, 20)
                body = _exactly(stream, int.from_bytes(head[2:4], "big"))
                for _, answer in stun_server(head + body, ("192.0.2.77", 40000)):
                    stream.sendall(answer)

    return handle


def _exactly(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise OSError("closed")
        data += piece
    return data


def dns_server(answers, seen=None):
    """Answer questions over UDP: (name, type) → rcode or addresses; other names get no answer at all."""

    def answer(data, _client):
        asked = dns.parse_message(data)
        question = asked.questions[0]
        if seen is not None:
            seen.append(question)
        told = answers.get((question.name, question.type))
        if told is not None:
            yield dns_answer(asked, told)

    return answer


def dns_answer(asked, told):
    """Write an answer: an rcode, or addresses."""
    question = asked.questions[0]
    addresses = () if isinstance(told, str) else told
    rcode = told if isinstance(told, str) else "NOERROR"
    number = {name: code for code, name in dns.RCODE_NAMES.items()}[rcode]
    kind = dns.TYPE_NUMBERS[question.type].to_bytes(2, "big")
    family = socket.AF_INET6 if question.type == "AAAA" else socket.AF_INET
    records = b""
    for address in addresses:
        packed = socket.inet_pton(family, address)
        records += b"\xc0\x0c" + kind + bytes.fromhex("0001 0000003c") + len(packed).to_bytes(2, "big") + packed
    head = asked.message_id.to_bytes(2, "big") + (0x8180 | number).to_bytes(2, "big")
    counts = b"\x00\x01" + len(addresses).to_bytes(2, "big") + bytes(4)
    return head + counts + dns.build_query(question.name, question.type)[12:] + records


@contextlib.contextmanager
def serving_datagrams(answer):
    """Run a UDP server: (data, client) → datagrams to send back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        ending = threading.Event()

        def serve():
            while not ending.is_set():
                try:
                    data, client = sock.recvfrom(4096)
                except OSError:
                    continue
                for reply in answer(data, client):
                    sock.sendto(reply, client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield sock.getsockname()
        finally:
            ending.set()
            thread.join()


def proxy(targets, *, status=200, challenge=(), requests=None):
    """Handle CONNECT: host → (address, port) that the tunnel leads to."""

    def handle(connection):
        asked = _head(connection)
        if requests is not None:
            requests.append(asked)
        if status != 200:
            offers = "".join(f"Proxy-Authenticate: {one}\r\n" for one in challenge)
            connection.sendall(f"HTTP/1.1 {status} No\r\n{offers}\r\n".encode())
            return
        host, _ = asked.connect_target
        with socket.create_connection(targets[host]) as behind:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pumps = [threading.Thread(target=_pump, args=pair) for pair in ((connection, behind), (behind, connection))]
            for pump in pumps:
                pump.start()
            for pump in pumps:
                pump.join()

    return handle


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
