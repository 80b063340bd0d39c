"""What a computer says of itself, in the words of three systems."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.probe.computer import (
    Computer,
    computer_document,
    held_against_requirements,
    linux,
    look_at_computer,
    macos,
    windows,
)
from ccp_assess.probe.computer import facts as facts_module
from ccp_assess.probe.computer.facts import virtual_desktop

WIRELESS = """Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
wlp0s20f3: 0000   48.  -62.  -256        0      0      0      0     57        0
"""

IPCONFIG = """
Windows-IP-Konfiguration

   Hostname  . . . . . . . . . . . . : PC-0815

Ethernet-Adapter Ethernet 3:

   Beschreibung. . . . . . . . . . . : Cisco AnyConnect Virtual Miniport Adapter for Windows x64
   IPv4-Adresse  . . . . . . . . . . : 10.20.30.40(Bevorzugt)
   Subnetzmaske  . . . . . . . . . . : 255.255.255.0

Drahtlos-LAN-Adapter WLAN:

   Beschreibung. . . . . . . . . . . : Intel(R) Wi-Fi 6 AX201 160MHz
   Verbindungslokale IPv6-Adresse  . : fe80::1c2:33ff:fe44:5566%17(Bevorzugt)
   IPv4-Adresse  . . . . . . . . . . : 192.168.1.23(Bevorzugt)
   Standardgateway . . . . . . . . . : 192.168.1.1
   DNS-Server  . . . . . . . . . . . : 192.168.1.1
"""

NETSH = """
Auf dem System ist 1 Schnittstelle vorhanden:

    Name                   : WLAN
    Kanal                  : 44
    Empfangsrate (Mbps)    : 866,7
    Signal                 : 88%
    Profil                 : Zuhause
"""

IFCONFIG = """lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384
\tinet 127.0.0.1 netmask 0xff000000
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tinet6 fe80::4b3:7aff:fe11:2233%en0 prefixlen 64 secured scopeid 0xb
\tinet 192.168.1.23 netmask 0xffffff00 broadcast 192.168.1.255
utun0: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1380
\tinet6 fe80::1%utun0 prefixlen 64 scopeid 0xc
utun4: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1280
\tinet 10.8.0.6 --> 10.8.0.5 netmask 0xffffffff
"""


def test_linux_tells_processor_memory_and_signal():
    cpu = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz\ncpu MHz\t\t: 799.9\n"
    assert linux.parse_cpuinfo(cpu) == ("Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", 1.6)
    assert linux.parse_cpuinfo("model name : AMD EPYC\ncpu MHz : 2596.1\n") == ("AMD EPYC", 2.5961)
    assert linux.parse_cpuinfo("") == (None, None)
    assert linux.parse_meminfo("MemTotal:        1953125 kB\n") == 2.0
    assert linux.parse_wireless(WIRELESS) == {"wlp0s20f3": -62.0}


def test_linux_tells_a_wire_a_radio_and_a_tunnel_apart(tmp_path):
    for name, kind in (("eth0", "1"), ("wlan0", "1"), ("wg0", "65534"), ("tap0", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "type").write_text(kind)
        (tmp_path / name / "mtu").write_text("1420")
    (tmp_path / "wlan0" / "wireless").mkdir()
    (tmp_path / "tap0" / "tun_flags").write_text("0x1002")
    (tmp_path / "eth0" / "speed").write_text("1000")
    kinds = {
        name: (link.is_wireless, link.is_tunnel)
        for name in ("eth0", "wlan0", "wg0", "tap0")
        if (link := linux.link_of(tmp_path / name, None))
    }
    assert kinds == {"eth0": (False, False), "wlan0": (True, False), "wg0": (False, True), "tap0": (False, True)}
    assert linux.link_of(tmp_path / "eth0", None).speed_mbps == 1000
    assert linux.link_of(tmp_path / "wlan0", None).speed_mbps is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks at this computer by Linux's own means")
def test_the_interface_of_a_local_address_is_found_here():
    assert linux.interface_of("127.0.0.1") == "lo"
    assert linux.interface_of("198.51.100.7") is None


def test_windows_adapters_are_told_by_shape_in_any_language():
    vpn, radio = [adapter for adapter in windows.parse_ipconfig(IPCONFIG) if adapter["addresses"]]
    assert vpn["addresses"] == ["10.20.30.40"]
    assert windows.is_tunnel(vpn["text"])
    assert radio["addresses"] == ["fe80::1c2:33ff:fe44:5566", "192.168.1.23"]
    assert not windows.is_tunnel(radio["text"])
    assert windows.parse_netsh_signal(NETSH) == -56.0
    assert windows.parse_netsh_signal("") is None


def test_windows_puts_the_pieces_together(monkeypatch):
    answers = {"ipconfig": IPCONFIG, "netsh": NETSH}
    registry = {
        "ProcessorNameString": " Intel(R) Core(TM) i5 ",
        "~MHz": 2400,
        "version": "140.0.7339.81",
        "CurrentVersion": "143.0 (x64 de)",
    }
    monkeypatch.setattr(windows, "said", lambda words: answers.get(words[0]))
    found = windows.facts("192.168.1.23", value=lambda _root, _key, name: registry.get(name))
    assert (found["cpu"], found["cpu_ghz"]) == ("Intel(R) Core(TM) i5", 2.4)
    assert found["browsers"] == {"Chrome": "140.0.7339.81", "Edge": "140.0.7339.81", "Firefox": "143.0"}
    assert (found["link"].is_wireless, found["link"].is_tunnel, found["link"].signal_dbm) == (True, False, -56.0)
    assert len(found["tunnels"]) == 1


def test_macos_puts_the_pieces_together(monkeypatch):
    answers = {
        "sysctl": "machdep.cpu.brand_string: Apple M2\nhw.memsize: 8589934592\n",
        "ifconfig": IFCONFIG,
        "networksetup": "Hardware Port: Ethernet\nDevice: en5\n\nHardware Port: Wi-Fi\nDevice: en0\n",
        "system_profiler": "          Current Network Information:\n            Signal / Noise: -55 dBm / -92 dBm\n",
    }
    monkeypatch.setattr(macos, "said", lambda words: answers.get(words[0]))
    found = macos.facts("192.168.1.23")
    assert (found["cpu"], found["memory_gb"], found["cpu_ghz"]) == ("Apple M2", 8.59, None)
    assert (found["link"].name, found["link"].is_wireless, found["link"].signal_dbm) == ("en0", True, -55.0)
    assert found["tunnels"] == ("utun4",)
    assert macos.facts("10.8.0.6")["link"].is_tunnel is True


def test_a_bundle_that_is_no_browser_is_no_browser(tmp_path):
    contents = tmp_path / "Firefox.app" / "Contents"
    contents.mkdir(parents=True)
    (contents / "Info.plist").write_bytes(b"\0broken")
    assert macos.browsers(tmp_path) == {}


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"SESSIONNAME": "ICA-TCP#1"}, "citrix"),
        ({"SESSIONNAME": "RDP-Tcp#55"}, "remote_desktop"),
        ({"ViewClient_Machine_Name": "THIN-7"}, "omnissa"),
        ({"SESSIONNAME": "Console"}, None),
        ({}, None),
    ],
)
def test_a_virtual_desktop_is_told_by_what_its_agent_leaves(variables, kind):
    assert virtual_desktop(variables) == kind


@given(st.text(), st.sampled_from(["192.168.1.23", "fe80::1", None]))
def test_no_text_of_a_command_breaks_a_parser(text, source):
    windows.parse_ipconfig(text)
    windows.parse_netsh_signal(text)
    macos.interface_of(text, source)
    macos.parse_signal(text)
    linux.parse_wireless(text)
    linux.parse_cpuinfo(text)


def test_a_system_that_tells_nothing_leaves_unknowns(monkeypatch):
    def silent(_source, **_more):
        raise OSError

    monkeypatch.setattr(facts_module, "_of_system", silent)
    computer = look_at_computer(None)
    assert (computer.memory_gb, computer.link) == (None, None)
    rows = {row["name"]: row["met"] for row in held_against_requirements(computer)}
    assert set(rows.values()) == {None}


def test_less_than_aws_asks_for_is_said_and_a_firmwares_share_is_allowed_for():
    rows = held_against_requirements(Computer(memory_gb=1.0, cpu_ghz=1.99, browsers={"Chrome": "140.0.1"}))
    met = {row["name"]: row["met"] for row in rows}
    assert met == {"memory_gb": False, "cpu_ghz": True, "browser_versions": None}
    assert all(row["source"] for row in rows)


def test_the_document_holds_plain_values_only():
    document = computer_document(look_at_computer("127.0.0.1"))
    assert isinstance(document["browsers"], dict)
    assert document["link"] is None or isinstance(document["link"], dict)
    assert str(Path.home()) not in str(document)
