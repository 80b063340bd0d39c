"""A real call of a browser through a real relay, recorded while it runs: what the recording says about it."""

import os
import subprocess
import sys
import uuid

import pytest

from ccp_assess.assess.captures import assess_captures
from ccp_assess.capture.scrub import scrub_capture

pytestmark = [
    pytest.mark.root,
    pytest.mark.browser,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="namespaces need root"),
]

AGENT, RELAY = "10.91.0.2", "15.193.5.9"

CALL = """
async (relay) => {
  const config = {iceServers: [{urls: `turn:${relay}:3478?transport=udp`, username: 'agent', credential: 'secret'}],
                  iceTransportPolicy: 'relay'};
  const one = new RTCPeerConnection(config), two = new RTCPeerConnection(config);
  one.onicecandidate = e => e.candidate && two.addIceCandidate(e.candidate);
  two.onicecandidate = e => e.candidate && one.addIceCandidate(e.candidate);
  const audio = new AudioContext(), tone = audio.createOscillator(), out = audio.createMediaStreamDestination();
  tone.connect(out); tone.start(); await audio.resume();
  for (const peer of [one, two]) for (const track of out.stream.getTracks()) peer.addTrack(track, out.stream);
  await one.setLocalDescription(); await two.setRemoteDescription(one.localDescription);
  await two.setLocalDescription(); await one.setRemoteDescription(two.localDescription);
  for (let k = 0; k < 100 && one.connectionState !== 'connected'; k++) await new Promise(r => setTimeout(r, 100));
  const state = one.connectionState;
  await new Promise(r => setTimeout(r, 6000));
  let sent = 0;
  (await one.getStats()).forEach(s => { if (s.type === 'outbound-rtp') sent = s.packetsSent; });
  one.close(); two.close();
  return {state, sent};
}
"""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


@pytest.fixture
def office(tool, tmp_path):
    """Two namespaces of our own: an agent's workstation, and a cloud with a relay."""
    ip, relay = tool("ip"), tool("turnserver")
    tag = uuid.uuid4().hex[:6]
    agent, cloud = f"ccpa-{tag}", f"ccpc-{tag}"
    servers = []
    try:
        for name in (agent, cloud):
            run(ip, "netns", "add", name)
            run(ip, "-n", name, "link", "set", "lo", "up")
        run(ip, "link", "add", "eth0", "netns", agent, "type", "veth", "peer", "name", "eth0", "netns", cloud)
        for name, address in ((agent, AGENT), (cloud, "10.91.0.1")):
            run(ip, "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            run(ip, "-n", name, "link", "set", "eth0", "up")
        run(ip, "-n", agent, "route", "add", "default", "via", "10.91.0.1")
        run(ip, "-n", cloud, "addr", "add", f"{RELAY}/32", "dev", "lo")
        command = [ip, "netns", "exec", cloud, relay, "-n", "--no-cli", "--log-file", "stdout", "--lt-cred-mech",
                   "--user=agent:secret", "--realm=test", "--fingerprint", f"--listening-ip={RELAY}",
                   f"--relay-ip={RELAY}",
                   "--no-tls", "--no-dtls", "--no-multicast-peers", f"--pidfile={tmp_path / 'turn.pid'}"]  # fmt: skip
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path))
        browser = tmp_path / "browser"
        browser.write_text(f'#!/bin/sh\nexec {ip} netns exec {agent} {tool("chromium")} "$@"\n')
        browser.chmod(0o755)
        yield agent, browser
    finally:
        for server in servers:
            server.terminate()
            server.wait()
        for name in (agent, cloud):
            subprocess.run([ip, "netns", "del", name], check=False)


def test_a_recorded_call_is_read_with_its_region_and_numbers(office, tool, play, tmp_path):
    tool("dumpcap")
    agent, browser = office
    path = tmp_path / "call.pcapng"
    command = [tool("ip"), "netns", "exec", agent, sys.executable, "-m", "ccp_assess", "capture", "record"]
    command += ["--region", "eu-west-2", "--until-quiet", "3s", "--duration", "2m", "--out", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as recording:
        assert recording.stderr is not None
        assert "Recording on eth0" in recording.stderr.readline()  # found by the route to the Region
        chromium = play.chromium.launch(
            executable_path=str(browser),
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        page = chromium.new_page()
        seen = page.evaluate(CALL, RELAY)
        chromium.close()
        out, error = recording.communicate(timeout=90)
    assert seen["state"] == "connected"
    assert recording.returncode == 0, error
    assert '"stopped_by": "quiet"' in out
    assert '"dropped": 0' in out

    document = assess_captures([path]).to_document()
    calls = [call for call in document["calls"] if call["region_code"] == "eu-west-2"]
    assert calls
    assert {call["relay"]["address"] for call in calls} == {RELAY}
    streams = [stream for stream in document["streams"] if stream["relay"] == "channel_data"]
    assert {stream["direction"] for stream in streams} == {"in", "out"}
    assert any(abs(stream["packets"] - seen["sent"]) <= 60 for stream in streams)
    assert all(stream["lost"] == 0 for stream in streams if stream["packets"] > 100)
    assert document["captures"][0]["snaplen_cut"] > 200  # headers only

    scrub_capture(path, tmp_path / "scrubbed.pcapng", key=tmp_path / "key")
    scrubbed = assess_captures([tmp_path / "scrubbed.pcapng"]).to_document()
    assert [row["packets"] for row in scrubbed["streams"]] == [row["packets"] for row in document["streams"]]
    assert {call["region_code"] for call in scrubbed["calls"]} == {call["region_code"] for call in document["calls"]}
    assert AGENT not in str(scrubbed)
