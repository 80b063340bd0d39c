"""The whole WAN, for use in a ``with`` statement."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from bench_wan import namespaces
from bench_wan.certificates import Authority
from bench_wan.namespaces import sh, usable
from bench_wan.office import LAN_DEVICE, WAN_DEVICE, firewall
from bench_wan.plan import Plan, Site, Way, read_plan
from bench_wan.services import HTTPS_PORT, TURN_PORT, Cloud, Gateway, inspector

PREFIX = "wb"
LOOPBACK_RESOLVER = "127.0.0.53"
TOOLS = Path(__file__).resolve().parents[1]

_numbers = itertools.count()


def missing_for_bench() -> str | None:
    """Say what a bench lacks on this computer; ``None`` if it can be made."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        return "the bench needs root and /dev/net/tun; what it proves was not tested here"
    for program in ("ip", "nft", "turnserver", "sysctl"):
        if shutil.which(program) is None:
            return f"missing tool: {program}"
    return None


class Bench:
    """A running bench; everything it makes goes away with it.

    Parameters
    ----------
    plan
        A plan, a TOML file, its text, or the same as a dictionary.
    turn
        Whether the TURN server runs.
    """

    def __init__(self, plan: Plan | Path | str | Mapping[str, Any], *, turn: bool = True) -> None:
        self.plan, self.turn = read_plan(plan), turn
        self.prefix = f"{PREFIX}{os.getpid()}x{next(_numbers)}"
        self.made: list[str] = []
        self.devices: dict[str, int] = {}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.control: socket.socket | None = None
        self.folder = Path()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ what tests use

    @property
    def first_site(self) -> str:
        """The site that is meant if none is named."""
        return next(iter(self.plan.sites))

    def namespace(self, site_id: str | None = None) -> str:
        """Name of the namespace of a site's workstation."""
        return f"{self.prefix}-{zlib.crc32((site_id or self.first_site).encode()):08x}"

    def gateway(self, site_id: str | None = None) -> str:
        """Name of the namespace of an office's gateway."""
        return f"{self.namespace(site_id)}g"

    @property
    def trusted_file(self) -> Path:
        """Authorities that the computers of the first site trust, as a PEM file."""
        return self.folder / f"{zlib.crc32(self.first_site.encode()):08x}.pem"

    @property
    def genuine_file(self) -> Path:
        """The authority that stands for the public ones."""
        return self.folder / "genuine" / "authority.pem"

    def surroundings(self, site_id: str | None = None) -> dict[str, str]:
        """Environment of a program at a site: the authorities that its computers trust, no proxy."""
        kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        trusted = self.folder / f"{zlib.crc32((site_id or self.first_site).encode()):08x}.pem"
        return kept | {"SSL_CERT_FILE": str(trusted)}

    def run(
        self,
        command: Sequence[str],
        site: str | None = None,
        *,
        timeout_s: float = 120.0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program at a site and wait for its end."""
        words = ["ip", "netns", "exec", self.namespace(site), *command]
        around = self.surroundings(site) | dict(env or {})
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s, env=around)

    def start(
        self, command: Sequence[str], site: str | None = None, *, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program at a site; it is ended with the bench at the latest."""
        words = ["ip", "netns", "exec", self.namespace(site), *command]
        process = subprocess.Popen(words, env=self.surroundings(site) | dict(env or {}), **options)
        self.processes.append(process)
        return process

    def wrapper(self, program: str, site: str | None = None) -> Path:
        """Write a script that runs a program at a site, for those who start programs by their path."""
        path = self.folder / f"{Path(program).name}-{self.namespace(site)}"
        path.write_text(f'#!/bin/sh\nexec ip netns exec {self.namespace(site)} {program} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
        return path

    def change(self, region_code: str, site: str | None = None, **changes: Any) -> None:
        """Change a way from now on: ``change("eu-west-2", loss_up_pct=5, down=True)``."""
        key = site or self.first_site, region_code
        way = replace(self.plan.ways[key], **changes)
        self.plan.ways[key] = way
        self._tell(way)

    def counts(self) -> dict[str, int]:
        """Packets that the emulated routers saw, by what became of them."""
        return self._tell(None)

    def change_firewall(self, rules: str, site: str | None = None) -> None:
        """Give the gateway of an office further rules, as for ``nft -f``."""
        sh("ip", "netns", "exec", self.gateway(site), "nft", "-f", "-", stdin=rules)

    def set_link(self, state: str, site: str | None = None) -> None:
        """Pull out the workstation's cable (``down``) or put it in again (``up``)."""
        name = self.namespace(site)
        device = LAN_DEVICE if self._site(site).office else WAN_DEVICE
        sh("ip", "-n", name, "link", "set", device, state)
        if state == "up":
            self._default_route(name, self._site(site), device)

    def hop_count(self, region_code: str, site: str | None = None) -> int:
        """Lowest TTL with which a workstation reaches a Region."""
        here = site or self.first_site
        return self.plan.ways[here, region_code].hop_count + (self._site(here).office is not None)

    def endpoints_csv(self, path: Path, *, relay_names: bool = True) -> Path:
        """Write the endpoints of the bench as a file for ``--endpoints``."""
        lines = ["region_code,role,host,port,transport,address"]
        for code, addresses in self.plan.regions.items():
            mine = [name for name, listed in self.plan.zone.items() if listed == addresses and code in name]
            relays = [name for name in mine if name.startswith("turnnlb")] if relay_names else []
            lines += [f"{code},media_relay,{name},{TURN_PORT},udp," for name in relays]
            lines += [f"{code},media_relay,,{TURN_PORT},udp,{address}" for address in addresses if not relays]
            web = [name for name in mine if name.startswith("participant.")]
            lines += [f"{code},api,{name},{HTTPS_PORT},tcp," for name in web]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    # ------------------------------------------------------------ making it

    def _site(self, site: str | None) -> Site:
        return self.plan.sites[site or self.first_site]

    def _build(self) -> None:
        namespaces.sweep(PREFIX)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        self.folder.chmod(0o755)
        genuine = Authority(self.folder / "genuine", "Amazon", "Amazon Root CA 1")
        everyone = tuple(a for listed in self.plan.regions.values() for a in listed if usable(a))
        cloud = self._cloud(everyone)
        for site_id, site in self.plan.sites.items():
            if usable(site.address):
                self._add_site(site_id, site, genuine)
        self._emulator(self.devices.pop(cloud))
        serving: list[tuple[str, Cloud | Gateway]]
        serving = [(cloud, Cloud(addresses=everyone, plan=self.plan, folder=self.folder, turn=self.turn))]
        for site_id, site in self.plan.sites.items():
            if usable(site.address):
                place = self.gateway(site_id) if site.office else self.namespace(site_id)
                listen = site.office.gateway if site.office else LOOPBACK_RESOLVER
                serving.append((place, Gateway(listen=listen, site=site, zone=self.plan.zone, folder=self.folder)))
        self._serve(serving)

    def _cloud(self, addresses: tuple[str, ...]) -> str:
        name = f"{self.prefix}-cloud"
        self._namespace(name)
        self.devices[name] = namespaces.open_tun(name, WAN_DEVICE)
        sh("ip", "-n", name, "link", "set", WAN_DEVICE, "up")
        for address in addresses:
            namespaces.add_address(name, address, "lo")
        self._default(name)
        return name

    def _add_site(self, site_id: str, site: Site, genuine: Authority) -> None:
        name, office = self.namespace(site_id), site.office
        self._namespace(name, office.gateway if office else LOOPBACK_RESOLVER)
        edge = name
        if office is not None:
            edge = self.gateway(site_id)
            self._namespace(edge)
            sh("ip", "link", "add", LAN_DEVICE, "netns", name, "type", "veth", "peer", LAN_DEVICE, "netns", edge)
            for here, address in ((name, office.workstation), (edge, office.gateway)):
                sh("ip", "-n", here, "addr", "add", f"{address}/24", "dev", LAN_DEVICE)
                sh("ip", "-n", here, "link", "set", LAN_DEVICE, "up")
            self._default_route(name, site, LAN_DEVICE)
            limit = 1000 if office.icmp_rate_limit else 0
            namespaces.set_kernel(edge, net__ipv4__ip_forward=1, net__ipv4__icmp_ratelimit=limit)
        self.devices[site_id] = namespaces.open_tun(edge, WAN_DEVICE)
        sh("ip", "-n", edge, "link", "set", WAN_DEVICE, "up")
        namespaces.add_address(edge, site.address, WAN_DEVICE)
        self._default(edge)
        boxes = (office.inspection, office.proxy and office.proxy.inspection) if office else ()
        trusted = [genuine.file]
        trusted += [inspector(self.folder, box.organisation).file for box in boxes if box is not None and box.trusted]
        own = self.folder / f"{zlib.crc32(site_id.encode()):08x}.pem"
        own.write_text("".join(path.read_text("utf-8") for path in trusted), "utf-8")
        if office is not None:
            sh("ip", "netns", "exec", edge, "nft", "-f", "-", stdin=firewall(office))

    def _namespace(self, name: str, resolver: str | None = None) -> None:
        namespaces.add(name, resolver)
        self.made.append(name)
        namespaces.set_kernel(name, net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0)

    def _default(self, name: str) -> None:
        sh("ip", "-n", name, "route", "add", "default", "dev", WAN_DEVICE)
        with suppress(RuntimeError):  # a kernel without IPv6
            sh("ip", "-n", name, "-6", "route", "add", "default", "dev", WAN_DEVICE)

    def _default_route(self, name: str, site: Site, device: str) -> None:
        if site.office is None:
            self._default(name)
        else:
            sh("ip", "-n", name, "route", "replace", "default", "via", site.office.gateway, "dev", device)

    def _emulator(self, cloud: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        ours.send(pickle.dumps((self.plan, self.devices, cloud)))
        fds = [*self.devices.values(), cloud]
        words = [sys.executable, "-c", "from bench_wan.emulator import main; main()", str(theirs.fileno())]
        around = os.environ | {"PYTHONPATH": str(TOOLS)}
        self.processes.append(subprocess.Popen(words, pass_fds=[*fds, theirs.fileno()], env=around))
        theirs.close()
        for fd in fds:
            os.close(fd)
        self.devices = {}

    def _serve(self, serving: list[tuple[str, Cloud | Gateway]]) -> None:
        words = [sys.executable, "-c", "from bench_wan.services import main; main()"]
        around = os.environ | {"PYTHONPATH": os.pathsep.join((str(TOOLS), str(TOOLS.parent)))}
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=around)
        self.processes.append(process)
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the services have no pipes")
        described = pickle.dumps(serving)
        process.stdin.write(len(described).to_bytes(4, "big") + described)
        process.stdin.flush()
        for _ in serving:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("a service of the bench did not start; its own words stand above")

    def _tell(self, way: Way | None) -> dict[str, int]:
        if self.control is None:
            return {}
        self.control.send(pickle.dumps(way))
        counts: dict[str, int] = json.loads(self.control.recv(65536))
        return counts

    def close(self) -> None:
        """End what was started and take away what was made."""
        if self.control is not None:
            self.control.close()
            self.control = None
        for process in self.processes:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()  # our own services end with their standard input
        for process in self.processes:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
        for fd in self.devices.values():
            with suppress(OSError):
                os.close(fd)
        for name in self.made:
            namespaces.remove(name)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.processes, self.devices, self.made = [], {}, []


bench = Bench
