"""Ask the network what is asked for on the command line, with the standard library alone; prints one JSON value.

Runs at a site of the bench, so that the bench is held to account by something that knows nothing of it or of us.
"""

import base64
import contextlib
import json
import os
import socket
import ssl
import struct
import sys
import time

MAGIC = 0x2112A442


def dns(name):
    try:
        return sorted({row[4][0] for row in socket.getaddrinfo(name, 443, socket.AF_INET, socket.SOCK_STREAM)})
    except socket.gaierror as error:
        return error.errno


def dns_code(name, server):
    """Response code of a question of our own, or None."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.5)
        asker.sendto(b"\1\2\1\0\0\1\0\0\0\0\0\0" + question, (server, 53))
        try:
            return asker.recv(600)[3] & 15
        except TimeoutError:
            return None


def connect(address, port):
    try:
        socket.create_connection((address, int(port)), 1).close()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return os.strerror(error.errno)
    return "connected"


def _tls(raw, name):
    return ssl.create_default_context().wrap_socket(raw, server_hostname=name)


def _websocket(end, name):
    key = base64.b64encode(b"0123456789abcdef").decode()
    end.sendall(
        f"GET /x HTTP/1.1\r\nHost: {name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    return end.recv(4000).split(b"\r\n")[0].decode()


def tls(name, proxy="", credentials=""):
    """Issuer's organisation and the answers to a GET and to a WebSocket upgrade."""
    answers = {}
    for what in ("get", "websocket"):
        raw = socket.create_connection((proxy, 3128) if proxy else (name, 443), 3)
        with raw:
            if proxy:
                sign_in = f"Proxy-Authorization: Basic {credentials}\r\n" if credentials else ""
                raw.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n{sign_in}\r\n".encode())
                head = raw.recv(4000)
                if not head.startswith(b"HTTP/1.1 200"):
                    asked = [line for line in head.decode().split("\r\n") if line.startswith("Proxy-Authenticate")]
                    return [head.split(b"\r\n")[0].decode(), *asked]
            try:
                end = _tls(raw, name)
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            answers["issuer"] = dict(part[0] for part in end.getpeercert()["issuer"])["organizationName"]
            if what == "get":
                end.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                answers["get"] = end.recv(4000).split(b"\r\n")[0].decode()
            else:
                answers["websocket"] = _websocket(end, name)
    return answers


def http(name):
    with socket.create_connection((name, 80), 3) as end:
        end.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        return end.recv(4000).split(b"\r\n")[0].decode()


def _stun(asker, kind, address, attributes=b""):
    request = struct.pack("!HHI", kind, len(attributes), MAGIC) + os.urandom(12) + attributes
    asker.sendto(request, (address, 3478))
    try:
        answer = asker.recv(2000)
    except TimeoutError:
        return None
    assert answer[8:20] == request[8:20]
    return answer


def stun(address):
    """Types of the answers to Binding and Allocate, or None."""
    got = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.6)
        for kind, attributes in ((1, b""), (3, struct.pack("!HHI", 0x0019, 4, 17 << 24))):
            answer = _stun(asker, kind, address, attributes)
            got.append(None if answer is None else answer[:2].hex())
    return got


def stun_connected(address):
    """What a connected socket hears: an answer's type, or the error that an ICMP message makes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.6)
        asker.connect((address, 3478))
        asker.send(struct.pack("!HHI", 1, 0, MAGIC) + os.urandom(12))
        try:
            return asker.recv(2000)[:2].hex()
        except TimeoutError:
            return None
        except OSError as error:
            return error.errno


def mapped(*asked):
    """Mapped address and port at each server from one socket; `+1.5` waits that long before the next."""
    got = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(1)
        for address in asked:
            if address.startswith("+"):
                time.sleep(float(address))
                continue
            answer = _stun(asker, 1, address)
            at = answer.index(b"\x00\x20\x00\x08")
            port, packed = struct.unpack_from("!HI", answer, at + 6)
            got.append([socket.inet_ntoa(struct.pack("!I", packed ^ MAGIC)), port ^ (MAGIC >> 16)])
        got.append(asker.getsockname()[1])
    return got


def train(address, count, gap_ms):
    """Send Bindings and count what comes back: received, duplicates, reordered, and the largest size that passed."""
    seen = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        for number in range(int(count)):
            asker.sendto(struct.pack("!HHI", 1, 0, MAGIC) + number.to_bytes(12, "big"), (address, 3478))
            time.sleep(float(gap_ms) / 1000)
            _drain(asker, seen)
        time.sleep(0.3)
        _drain(asker, seen)
    first = list(dict.fromkeys(seen))
    late = sum(number < max(first[:at], default=-1) for at, number in enumerate(first))
    return {"received": len(first), "duplicates": len(seen) - len(first), "reordered": late}


def _drain(asker, seen):
    with contextlib.suppress(BlockingIOError):
        while True:
            seen.append(int.from_bytes(asker.recv(2000)[8:20], "big"))


def sizes(address, *asked):
    """Which sizes of IP packets are answered (1), silent (0), or refused by an error number."""
    got = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.4)
        asker.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER = IP_PMTUDISC_PROBE
        asker.connect((address, 3478))
        for size in map(int, asked):
            room = size - 28 - 20 - 4
            body = struct.pack("!HH", 0xC0DE, room) + bytes(room)
            try:
                asker.send(struct.pack("!HHI", 1, len(body), MAGIC) + os.urandom(12) + body)
                got.append(int(bool(asker.recv(2000))))
            except TimeoutError:
                got.append(0)
            except OSError as error:
                got.append(-error.errno)
    return got


if __name__ == "__main__":
    print(json.dumps([globals()[words[0]](*words[1:]) for words in map(str.split, sys.argv[1:])]))
