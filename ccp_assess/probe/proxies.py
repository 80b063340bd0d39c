"""Which proxy a browser on this computer would use: by option, environment, the system's settings or a PAC script."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ccp_assess.errors import ProbeError
from ccp_assess.wire.http import HttpHead

ProxySource = Literal["option", "environment", "system", "pac"]
LARGEST_PAC_BYTES = 1 << 20
_SCHEME = re.compile(r"^\s*([A-Za-z][A-Za-z0-9-]*)(?=$|[\s,])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One HTTP proxy.

    Parameters
    ----------
    host, port
        Where it is.
    source
        Where that was said.
    tls
        Whether it is itself reached by TLS.
    user, password
        Of a URL that carries them; used for Basic and never shown.
    """

    host: str
    port: int
    source: ProxySource
    tls: bool = False
    user: str | None = None
    password: str | None = None

    @property
    def text(self) -> str:
        """Host and port, without any password."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The header that signs in by Basic, or nothing."""
        if self.user is None:
            return ""
        pair = base64.b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
        return f"Proxy-Authorization: Basic {pair}\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What is set on this computer.

    Parameters
    ----------
    proxy
        Used for everything that is not excepted.
    bypass
        Whether a host is excepted.
    pac
        Evaluates a PAC script: host → proxy, or ``None`` for directly.
    pac_source
        Where the PAC script is from, if there is one.
    notes
        What could not be taken into account, in words.
    """

    proxy: Proxy | None = None
    bypass: Callable[[str], bool] = lambda _host: False
    pac: Callable[[str], Proxy | None] | None = None
    pac_source: str | None = None
    notes: tuple[str, ...] = ()

    def for_host(self, host: str) -> Proxy | None:
        """Return the proxy for a host; ``None`` for directly."""
        if self.pac is not None:
            return self.pac(host)
        return None if self.proxy is None or self.bypass(host) else self.proxy


def parse_proxy(text: str, source: ProxySource) -> Proxy:
    """Read a proxy as people and systems write it.

    Parameters
    ----------
    text
        ``proxy.example:8080`` or a URL, with or without a user.
    source
        Where it stands.

    Returns
    -------
    proxy
        The proxy.

    Raises
    ------
    ProbeError
        If it is none, or of a kind that browsers do not use for HTTPS.

    Examples
    --------
    >>> parse_proxy("http://proxy.corp.example:8080/", "environment").text
    'proxy.corp.example:8080'
    """
    whole = text.strip() if "://" in text else f"http://{text.strip()}"
    try:
        parts = urllib.parse.urlsplit(whole)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.urlsplit("//"), None
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        shown = re.sub(r"//[^@/]*@", "//…@", whole)[:80]
        raise ProbeError(f"{shown!r} is no HTTP proxy; write it as host:port or http://host:port")
    return Proxy(
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        source=source,
        tls=parts.scheme == "https",
        user=urllib.parse.unquote(parts.username) if parts.username else None,
        password=urllib.parse.unquote(parts.password) if parts.password else None,
    )


def read_proxy_settings(
    *,
    option: str | None = None,
    pac: str | None = None,
    timeout_s: float = 2.0,
    platform: str = sys.platform,
    environment: Callable[[], Mapping[str, str]] = urllib.request.getproxies_environment,
    system: Callable[[], Mapping[str, str]] = urllib.request.getproxies,
    find_pac: Callable[[str], str | None] | None = None,
) -> ProxySettings:
    """Find out which proxy is in force, in the order in which browsers look.

    Parameters
    ----------
    option
        Given on the command line: a proxy, ``direct`` for none, or ``None`` to look for one.
    pac
        URL or file of a PAC script, given on the command line.
    timeout_s
        Longest time to fetch a PAC script [s].
    platform, environment, system, find_pac
        As ``sys.platform``, the environment's proxies, the system's, and its PAC URL.

    Returns
    -------
    settings
        What a browser would use.

    Raises
    ------
    ProbeError
        If what was given is no proxy.
    """
    if option == "direct":
        return ProxySettings()
    if option is not None:
        return ProxySettings(proxy=parse_proxy(option, "option"))
    named = pac or (find_pac or system_pac_url)(platform)
    if named is not None:
        return _from_pac(named, timeout_s)
    for source, stated in (("environment", environment()), ("system", system())):
        text = stated.get("https") or stated.get("all")
        if text:
            try:
                proxy = parse_proxy(text, source)  # type: ignore[arg-type]
            except ProbeError as error:
                return ProxySettings(notes=(f"The {source} names a proxy that cannot be used: {error}.",))
            return ProxySettings(proxy=proxy, bypass=_bypass(stated))
    return ProxySettings()


def _bypass(stated: Mapping[str, str]) -> Callable[[str], bool]:
    exceptions = dict(stated)

    def is_excepted(host: str) -> bool:
        if "no" in exceptions:
            return bool(urllib.request.proxy_bypass_environment(host, exceptions))  # type: ignore[attr-defined]  # public, unlisted
        with suppress(OSError, ValueError):
            return bool(urllib.request.proxy_bypass(host))
        return False

    return is_excepted


def _from_pac(named: str, timeout_s: float) -> ProxySettings:
    try:
        script = _read_pac(named, timeout_s)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        return ProxySettings(
            pac_source=named, notes=(f"The PAC script {named} could not be read ({reason}): tested without a proxy.",)
        )
    try:
        from pypac.parser import PACFile  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError:
        note = f"PAC found at {named}, not evaluated (that needs the package pypac): tested without a proxy."
        return ProxySettings(pac_source=named, notes=(note,))
    try:
        evaluate = PACFile(script)
    except Exception as error:  # noqa: BLE001 -- a stranger's script in somebody's interpreter
        note = f"The PAC script {named} cannot be evaluated ({type(error).__name__}): tested without a proxy."
        return ProxySettings(pac_source=named, notes=(note,))
    return ProxySettings(pac=lambda host: _choice(evaluate, host), pac_source=named)


def _choice(evaluate: Any, host: str) -> Proxy | None:
    try:
        answer = str(evaluate.find_proxy_for_url(f"https://{host}/", host) or "")
    except Exception:  # noqa: BLE001 -- a stranger's script in somebody's interpreter
        return None
    return proxy_from_pac_answer(answer)


def proxy_from_pac_answer(answer: str) -> Proxy | None:
    """Read what a PAC script returned: its first usable choice.

    Parameters
    ----------
    answer
        Such as ``PROXY a:8080; DIRECT``.

    Returns
    -------
    proxy
        ``None`` for directly.

    Examples
    --------
    >>> proxy_from_pac_answer("SOCKS s:1080; PROXY a.example:8080; DIRECT").text
    'a.example:8080'
    """
    for choice in answer.split(";"):
        word, _, where = choice.strip().partition(" ")
        if word.upper() == "DIRECT":
            return None
        if word.upper() in {"PROXY", "HTTP", "HTTPS"}:
            with suppress(ProbeError):
                return parse_proxy(f"{'https' if word.upper() == 'HTTPS' else 'http'}://{where.strip()}", "pac")
    return None


def _read_pac(named: str, timeout_s: float) -> str:
    if re.match(r"https?://", named, re.IGNORECASE):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(named, timeout=timeout_s) as answer:
            data: bytes = answer.read(LARGEST_PAC_BYTES + 1)
    else:
        path = urllib.request.url2pathname(urllib.parse.urlsplit(named).path) if named.startswith("file:") else named
        data = Path(path).read_bytes()[: LARGEST_PAC_BYTES + 1]
    if len(data) > LARGEST_PAC_BYTES:
        raise ValueError(f"it is larger than {LARGEST_PAC_BYTES >> 20} MiB")
    return data.decode("utf-8", errors="replace")


# ---------------------------------------------------------------- the system's PAC URL


def system_pac_url(platform: str = sys.platform, run: Callable[[list[str]], str] | None = None) -> str | None:
    """Find the PAC script that is set in the system.

    Parameters
    ----------
    platform
        As ``sys.platform``.
    run
        Runs a command and returns what it printed.

    Returns
    -------
    url
        ``None`` if none is set, or if that cannot be told.
    """
    command = run or _run
    if platform == "win32":
        return _windows_pac_url()
    if platform == "darwin":
        said = command(["scutil", "--proxy"])
        enabled = re.search(r"ProxyAutoConfigEnable\s*:\s*1", said)
        named = re.search(r"ProxyAutoConfigURLString\s*:\s*(\S+)", said)
        return named[1] if enabled and named else None
    if "auto" not in command(["gsettings", "get", "org.gnome.system.proxy", "mode"]):
        return None
    named = re.search(r"'([^']+)'", command(["gsettings", "get", "org.gnome.system.proxy", "autoconfig-url"]))
    return named[1] if named else None


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(  # noqa: S603 -- fixed words
            command, capture_output=True, text=True, errors="replace", timeout=1, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _windows_pac_url() -> str | None:
    try:
        import winreg  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 -- exists on Windows only
    except ImportError:
        return None
    return registry_pac_url(winreg)


def registry_pac_url(winreg: Any) -> str | None:
    """Read the PAC script's URL from the Windows registry.

    Parameters
    ----------
    winreg
        The module of that name.

    Returns
    -------
    url
        ``None`` if none is set.
    """
    path = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
    with suppress(OSError), winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as settings:
        return str(winreg.QueryValueEx(settings, "AutoConfigURL")[0]).strip() or None
    return None


def sign_in_schemes(head: HttpHead) -> tuple[str, ...]:
    """Read which sign-ins a proxy offers (RFC 9110, section 11.7.1).

    Parameters
    ----------
    head
        Its answer.

    Returns
    -------
    schemes
        Such as ``Negotiate``, ``NTLM``, ``Basic``; in its order.
    """
    values = [value for name, value in head.headers if name == "proxy-authenticate"]
    found = [match[1] for value in values for part in value.split(", ") if (match := _SCHEME.match(part))]
    known = {"basic": "Basic", "digest": "Digest", "ntlm": "NTLM", "negotiate": "Negotiate", "kerberos": "Kerberos"}
    return tuple(dict.fromkeys(known.get(word.lower(), word[:20]) for word in found))
