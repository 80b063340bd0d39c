"""Which proxy is in force: by option, environment, system or PAC, on three systems, and what cannot be told."""

import sys
import types

import pytest
from loopback_servers import serving

from ccp_assess.errors import ProbeError
from ccp_assess.probe.proxies import (
    Proxy,
    parse_proxy,
    proxy_from_pac_answer,
    read_proxy_settings,
    registry_pac_url,
    sign_in_schemes,
    system_pac_url,
)
from ccp_assess.wire.http import HttpHead

PAC = """function FindProxyForURL(url, host) {
  if (dnsDomainIs(host, ".connect.aws")) return "DIRECT";
  if (shExpMatch(host, "*.amazonaws.com")) return "PROXY p.corp.example:8080; DIRECT";
  return "HTTPS q.corp.example:8443";
}"""


def settings(**more):
    nothing = {"environment": dict, "system": dict, "find_pac": lambda _platform: None}
    return read_proxy_settings(**(nothing | more))


@pytest.mark.parametrize(
    ("text", "shown", "tls"),
    [
        ("proxy.corp.example:8080", "proxy.corp.example:8080", False),
        ("http://proxy.corp.example", "proxy.corp.example:80", False),
        ("https://proxy.corp.example", "proxy.corp.example:443", True),
        ("http://[2001:db8::8]:3128/", "[2001:db8::8]:3128", False),
        ("http://agent:p%40ss@proxy.corp.example:8080", "proxy.corp.example:8080", False),
    ],
)
def test_a_proxy_is_read_as_people_write_it(text, shown, tls):
    found = parse_proxy(text, "option")
    assert (found.text, found.tls) == (shown, tls)


def test_the_password_of_a_url_is_unquoted_and_sent_but_not_shown():
    found = parse_proxy("http://agent:p%40ss@proxy.corp.example:8080", "option")
    assert (found.user, found.password) == ("agent", "p@ss")
    assert "p@ss" not in found.text


@pytest.mark.parametrize("text", ["", "socks5://a:1080", "http://", "a:99999", "http://[::1", "ftp://a:21"])
def test_what_is_no_proxy_is_one_sentence_without_the_password(text):
    with pytest.raises(ProbeError, match="is no HTTP proxy; write it as host:port"):
        parse_proxy(text, "option")
    with pytest.raises(ProbeError) as told:
        parse_proxy("socks5://agent:hidden@a:1080", "option")
    assert "hidden" not in str(told.value)


def test_an_option_comes_before_everything_and_direct_means_none():
    environment = lambda: {"https": "http://env.example:1"}  # noqa: E731 -- one line each
    assert settings(option="opt.example:2", environment=environment).for_host("x").text == "opt.example:2"
    assert settings(option="direct", environment=environment).for_host("x") is None


def test_the_environment_comes_before_the_system_and_has_exceptions():
    found = settings(
        environment=lambda: {"https": "http://env.example:1", "no": ".connect.aws,10.0.0.0"},
        system=lambda: {"https": "http://sys.example:2"},
    )
    assert found.for_host("participant.connect.eu-west-2.amazonaws.com") == Proxy(
        host="env.example", port=1, source="environment"
    )
    assert found.for_host("acme.my.connect.aws") is None


def test_the_systems_setting_is_used_where_the_environment_says_nothing():
    found = settings(system=lambda: {"https": "http://sys.example:2"})
    assert found.for_host("x.amazonaws.com").source == "system"


def test_a_setting_that_cannot_be_used_is_said_and_not_guessed():
    found = settings(environment=lambda: {"https": "socks5://s.example:1080"})
    assert found.for_host("x") is None
    assert "cannot be used" in found.notes[0]


def test_a_pac_file_decides_host_by_host(tmp_path):
    pytest.importorskip("pypac")
    script = tmp_path / "proxy.pac"
    script.write_text(PAC, encoding="utf-8")
    found = settings(pac=str(script))
    assert found.for_host("participant.connect.eu-west-2.amazonaws.com").text == "p.corp.example:8080"
    assert found.for_host("acme.my.connect.aws") is None
    assert found.for_host("example.org").tls
    assert (found.notes, found.pac_source) == ((), str(script))
    assert settings(pac=script.as_uri()).for_host("example.org").port == 8443


def test_a_pac_script_is_fetched_by_its_url_without_any_proxy(monkeypatch):
    pytest.importorskip("pypac")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    body = PAC.encode()

    def serve(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with serving(serve) as (host, port):
        found = settings(find_pac=lambda _platform: f"http://{host}:{port}/proxy.pac")
    assert found.for_host("x.amazonaws.com").text == "p.corp.example:8080"


@pytest.mark.parametrize("script", ["this is no script {", "var x = 1;"])
def test_a_broken_pac_script_is_said_and_the_round_goes_on_directly(tmp_path, script):
    pytest.importorskip("pypac")
    place = tmp_path / "broken.pac"
    place.write_text(script, encoding="utf-8")
    found = settings(pac=str(place))
    assert found.for_host("x.amazonaws.com") is None
    assert "tested without a proxy" in found.notes[0]


def test_a_pac_script_that_is_not_there_is_said(tmp_path):
    found = settings(pac=str(tmp_path / "none.pac"))
    assert "could not be read" in found.notes[0]


def test_without_an_evaluator_the_script_is_found_but_not_evaluated(tmp_path, monkeypatch):
    script = tmp_path / "proxy.pac"
    script.write_text(PAC, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "pypac", None)
    monkeypatch.setitem(sys.modules, "pypac.parser", None)
    found = settings(pac=str(script))
    assert "PAC found" in found.notes[0]
    assert "not evaluated" in found.notes[0]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("DIRECT", None),
        ("", None),
        ("SOCKS a:1080", None),
        ("PROXY a.example:8080; PROXY b.example:8080", "a.example:8080"),
        ("proxy a.example:8080", "a.example:8080"),
        ("PROXY ; DIRECT", None),
    ],
)
def test_the_first_usable_choice_of_a_pac_answer_counts(answer, text):
    found = proxy_from_pac_answer(answer)
    assert (None if found is None else found.text) == text


def test_the_pac_url_of_each_system_is_found():
    mac = "  ProxyAutoConfigEnable : 1\n  ProxyAutoConfigURLString : http://wpad.example/proxy.pac\n"
    assert system_pac_url("darwin", lambda _command: mac) == "http://wpad.example/proxy.pac"
    assert system_pac_url("darwin", lambda _command: mac.replace(": 1", ": 0")) is None
    gnome = {"mode": "'auto'\n", "autoconfig-url": "'http://wpad.example/proxy.pac'\n"}
    assert system_pac_url("linux", lambda command: gnome[command[-1]]) == "http://wpad.example/proxy.pac"
    assert system_pac_url("linux", lambda _command: "") is None


class Key:
    """An open key of a registry."""

    def __init__(self, values):
        self.values = values

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def registry(values):
    def query(key, name):
        if name not in key.values:
            raise FileNotFoundError(name)
        return key.values[name], 1

    return types.SimpleNamespace(HKEY_CURRENT_USER=1, OpenKey=lambda _root, _path: Key(values), QueryValueEx=query)


def test_the_pac_url_of_windows_stands_in_the_registry():
    assert registry_pac_url(registry({"AutoConfigURL": "http://wpad/x.pac"})) == "http://wpad/x.pac"
    assert registry_pac_url(registry({})) is None


def test_sign_in_schemes_are_read_from_one_header_or_several():
    head = HttpHead(
        status=407,
        headers=(("proxy-authenticate", 'Negotiate, NTLM, Basic realm="a, b"'), ("proxy-authenticate", "digest x=1")),
    )
    assert sign_in_schemes(head) == ("Negotiate", "NTLM", "Basic", "Digest")
