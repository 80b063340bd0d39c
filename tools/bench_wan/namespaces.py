"""Network namespaces of this computer, and the devices in them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
SETTINGS = Path("/etc/netns")  # `ip netns exec` lays what stands here over /etc
PLACES = Path("/run/netns")


def sh(*words: str, stdin: str | None = None) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")


def usable(address: str) -> bool:
    """Say whether this kernel can have an address of that family."""
    return ":" not in address or Path("/proc/net/if_inet6").exists()


def enter(namespace: str) -> None:
    """Let this thread be in a namespace from now on."""
    there = os.open(PLACES / namespace, os.O_RDONLY)
    try:
        _move(there)
    finally:
        os.close(there)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread be in a namespace for a while."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(namespace)
        try:
            yield
        finally:
            _move(back)
    finally:
        os.close(back)


def _move(there: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(there, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def open_tun(namespace: str, name: str = "wan0") -> int:
    """Make a TUN device in a namespace and give its other end."""
    with inside(namespace):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    os.set_blocking(fd, True)
    return fd


def add(name: str, resolver: str | None = None) -> None:
    """Make a namespace with a loopback, and its own resolver if it has one."""
    sh("ip", "netns", "add", name)
    sh("ip", "-n", name, "link", "set", "lo", "up")
    if resolver is not None:
        settings = SETTINGS / name
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "resolv.conf").write_text(f"nameserver {resolver}\noptions timeout:2 attempts:2\n", "utf-8")
        (settings / "nsswitch.conf").write_text("hosts: files dns\n", "utf-8")
        (settings / "hosts").write_text("127.0.0.1 localhost\n", "utf-8")


def set_kernel(name: str, **settings: int) -> None:
    """Set what the kernel lets one set; dots of the names are written as `__`."""
    for key, value in settings.items():
        words = ["ip", "netns", "exec", name, "sysctl", "-qw", f"{key.replace('__', '.')}={value}"]
        subprocess.run(words, check=False, capture_output=True)  # a kernel without IPv6 has fewer


def add_address(name: str, address: str, device: str) -> None:
    """Give a device one address, alone in its net."""
    wide, more = ("128", ("nodad",)) if ":" in address else ("32", ())
    sh("ip", "-n", name, "addr", "add", f"{address}/{wide}", "dev", device, *more)


def remove(name: str) -> None:
    """Take a namespace away with all that is in it."""
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    shutil.rmtree(SETTINGS / name, ignore_errors=True)


def sweep(prefix: str) -> None:
    """Take away what benches left whose process was killed: their names begin with `PREFIX<pid>x`."""
    folders = Path(tempfile.gettempdir())
    for place in (PLACES, SETTINGS, folders):
        for path in place.glob(f"{prefix}*x*-*") if place.is_dir() else ():
            pid = path.name.removeprefix(prefix).partition("x")[0]
            if pid.isdigit() and not Path(f"/proc/{pid}").exists():
                remove(path.name)
                shutil.rmtree(folders / path.name, ignore_errors=True)
