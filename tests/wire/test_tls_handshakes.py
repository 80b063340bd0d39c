"""TLS in clear: names, versions, certificates, whole and in pieces."""

import contextlib
import datetime as dt
import subprocess

import pytest
from builders import client_hello, tls_record
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.wire import certificates, tls


def test_the_client_hello_gives_name_and_protocols_in_lower_case():
    flight = tls.parse_flight(tls_record(client_hello("My.Connect.AWS", alpn=("h2", "http/1.1"))))
    assert flight.client_hello is not None
    assert flight.client_hello.server_name == "my.connect.aws"
    assert flight.client_hello.alpn == ("h2", "http/1.1")
    assert flight.client_hello.versions == ("TLSv1.2",)
    assert flight.client_hello.cipher_suites == (0x1301, 0x1302)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_hello_split_over_many_records_is_read(size):
    hello = client_hello("split.example.com")
    stream = b"".join(tls_record(hello[i : i + size]) for i in range(0, len(hello), size))
    flight = tls.parse_flight(stream)
    assert flight.client_hello is not None
    assert flight.client_hello.server_name == "split.example.com"


def test_every_beginning_of_a_hello_is_no_hello_and_no_fault():
    stream = tls_record(client_hello("cut.example.com"))
    for size in range(5, len(stream)):
        assert tls.parse_flight(stream[:size]).client_hello is None
    assert tls.parse_flight(stream + b"rubbish").client_hello is not None


def test_a_hello_without_a_name_has_none():
    flight = tls.parse_flight(tls_record(client_hello(None)))
    assert flight.client_hello is not None
    assert flight.client_hello.server_name is None


def test_what_follows_the_change_of_keys_is_not_read_as_clear():
    stream = tls_record(client_hello()) + tls_record(b"\x01", 20) + tls_record(b"\x02\x28", 21)
    flight = tls.parse_flight(stream)
    assert flight.encrypted_at == len(tls_record(client_hello()))
    assert flight.alerts == ()


def test_an_alert_in_clear_is_named():
    assert tls.parse_flight(tls_record(b"\x02\x30", 21)).alerts == ("unknown_ca",)


def test_server_hello_of_tls_1_3_says_so_in_its_extension():
    extensions = bytes.fromhex("002b00020304")
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x13\x01" + b"\x00" + len(extensions).to_bytes(2, "big") + extensions
    hello = tls.parse_server_hello(body)
    assert (hello.version, hello.cipher_suite, hello.is_retry) == ("TLSv1.3", 0x1301, False)


@pytest.fixture(scope="module")
def certificate_der(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-outform", "DER"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "c.der"), "-subj", "/O=Proxy Köln/CN=box"]
    command += ["-utf8", "-addext", "subjectAltName=DNS:A.example.com,IP:192.0.2.1,IP:2001:db8::1"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("missing tool: openssl")
    return (folder / "c.der").read_bytes()


def test_a_certificate_tells_issuer_names_and_validity(certificate_der):
    certificate = certificates.parse_certificate(certificate_der)
    assert certificate.issuer == certificates.Name(common_name="box", organisation="Proxy Köln")
    assert certificate.is_self_signed
    assert certificate.names == ("a.example.com", "192.0.2.1", "2001:db8::1")
    assert certificate.not_before is not None
    assert certificate.not_after is not None
    assert certificate.not_after - certificate.not_before == dt.timedelta(days=30)
    assert len(certificate.sha256) == 95


def test_every_cut_of_a_certificate_is_our_error(certificate_der):
    for size in range(0, len(certificate_der), 7):
        with pytest.raises(ParseError):
            certificates.parse_certificate(certificate_der[:size])


def test_a_certificate_message_is_read_in_its_flight(certificate_der):
    entry = len(certificate_der).to_bytes(3, "big") + certificate_der
    body = len(entry).to_bytes(3, "big") + entry
    flight = tls.parse_flight(tls_record(b"\x0b" + len(body).to_bytes(3, "big") + body))
    assert flight.certificates == (certificate_der,)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_give_a_flight_or_our_error(data):
    tls.looks_like_tls(data)
    for parse in (
        tls.parse_flight,
        tls.parse_client_hello,
        tls.parse_server_hello,
        tls.parse_certificate_list,
        certificates.parse_certificate,
    ):
        with contextlib.suppress(ParseError):
            parse(data)


@given(st.data())
@settings(deadline=None)
def test_a_damaged_hello_gives_a_hello_or_our_error(data):
    hello = bytearray(client_hello("example.com", alpn=("h2",)))
    for _ in range(data.draw(st.integers(1, 4))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    tls.parse_flight(tls_record(bytes(hello)))
    with contextlib.suppress(ParseError):
        tls.parse_client_hello(bytes(hello[4:]))
