"""The capture panel without a browser: start, watch, stop, and the call is read."""

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccp_assess.capture.record import RecordResult
from ccp_assess.capture.recording.watching import LiveCounts
from ccp_assess.errors import RecordingPermissionError
from ccp_assess.widgets import CapturePanel, capture_panel, show_capture_panel

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
CALL = SAMPLE / "captures" / "DEN" / "bench__desk-call.pcap"


class Recording:
    """Stands for a recording: it "records" a call of the sample."""

    def __init__(self, path: Path, *, packets: int = 4000, **asked: Any) -> None:
        self.path, self.asked, self.packets = path, asked, packets
        self.interface = SimpleNamespace(name="wlan0")
        self.filter = "the softphone's"
        self.is_running = True
        self.seconds = 0.0

    @property
    def live(self) -> LiveCounts:
        self.seconds += 1.0
        return LiveCounts(
            seconds=self.seconds,
            packets=100,
            bytes=20_000,
            dropped=None,
            packets_in=50,
            packets_out=49,
            media_packets=99,
            media_quiet_s=0.0,
        )

    def stop(self) -> RecordResult:
        self.is_running = False
        shutil.copy(CALL, self.path)
        return RecordResult(
            path=str(self.path),
            packets=self.packets,
            dropped=3,
            bytes=1,
            start_time=None,
            end_time=None,
            interface="wlan0",
            program="dumpcap",
            filter=self.filter,
            stopped_by="user",
            media_packets=1,
            is_whole=False,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    client = tmp_path / "sample"
    shutil.copytree(SAMPLE, client, ignore=shutil.ignore_patterns("captures", "probes"))
    return client


@pytest.fixture
def made() -> list[Recording]:
    return []


@pytest.fixture
def panel(folder: Path, made: list[Recording]) -> CapturePanel:
    def recorder(path: Path, **asked: Any) -> Any:
        made.append(Recording(path, **asked))
        return made[-1]

    return show_capture_panel(folder, recorder)


def test_what_was_chosen_reaches_the_recorder(panel: CapturePanel, made: list[Recording], folder: Path) -> None:
    panel.regions.value = ("us-west-2",)
    panel.hosts.value = "192.0.2.1, 192.0.2.2"
    panel.site.value = "DEN"
    panel.name.value = "../first call"
    panel.headers_only.value = False
    panel.start.click()
    (recording,) = made
    assert recording.path == folder / "captures" / "DEN" / "first call.pcapng"
    assert recording.asked["region_codes"] == ("us-west-2",)
    assert recording.asked["hosts"] == ("192.0.2.1", "192.0.2.2")
    assert recording.asked["keep_payload"] is True
    assert recording.asked["expression"] is None
    assert panel.start.disabled
    assert not panel.stop.disabled


def test_only_headers_are_kept_unless_asked(panel: CapturePanel, made: list[Recording]) -> None:
    panel.start.click()
    assert made[0].asked["keep_payload"] is False


def test_counters_and_series_come_while_it_runs(panel: CapturePanel) -> None:
    panel.start.click()
    for _ in range(3):
        panel.refresh()
    assert "media 99" in panel.counts.value
    assert "50 packets/s" in panel.counts.value
    rows = panel.timeline.columns[0]["rows"]
    assert [len(row["series"][0]["points"]) for row in rows] == [3, 3]


def test_stopping_reads_the_call_and_says_what_was_dropped(panel: CapturePanel, made: list[Recording]) -> None:
    panel.start.click()
    panel.stop.click()
    assert not made[0].is_running
    assert "3 dropped" in panel.said.value
    assert "headers only" in panel.said.value
    assert len(panel.calls.children) == 1
    assert "ccp-setup" in panel.static_html()
    assert not panel.start.disabled


def test_a_recording_that_ended_by_itself_is_read_too(panel: CapturePanel, made: list[Recording]) -> None:
    panel.start.click()
    made[0].is_running = False
    panel.refresh()
    assert panel.result is not None
    assert panel.calls.children


def test_a_recording_without_packets_says_so(folder: Path) -> None:
    panel = show_capture_panel(folder, lambda path, **asked: Recording(path, packets=0, **asked))
    panel.start.click()
    panel.stop.click()
    assert "Nothing was recorded" in panel.static_html()


def test_a_missing_right_is_one_sentence(folder: Path) -> None:
    def refused(_path: Path, **_asked: Any) -> Any:
        raise RecordingPermissionError("dumpcap may not record; add yourself to the group wireshark")

    panel = show_capture_panel(folder, refused)
    panel.start.click()
    assert "group wireshark" in panel.said.value
    assert not panel.start.disabled
    panel.stop.click()  # nothing runs, nothing happens


def test_in_a_notebook_the_panel_looks_by_itself(panel: CapturePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_panel, "LOOK_S", 0.01)

    async def record() -> None:
        panel.start.click()
        seen = asyncio.Event()
        panel.counts.observe(lambda _: seen.set(), names="value")
        await asyncio.wait_for(seen.wait(), timeout=60)
        ended = asyncio.Event()
        panel.calls.observe(lambda _: ended.set(), names="children")
        panel.stop.click()
        await asyncio.wait_for(ended.wait(), timeout=60)

    asyncio.run(record())
    assert "packets in" in panel.said.value


def test_on_a_virtual_desktop_the_panel_says_on_which_device_to_record(tmp_path, monkeypatch):
    monkeypatch.setenv("SESSIONNAME", "ICA-TCP#7")
    assert "thin client" in show_capture_panel(tmp_path).where.value
    monkeypatch.setenv("SESSIONNAME", "Console")
    assert show_capture_panel(tmp_path).where.value == ""
