"""Our own controls, as their JavaScript would drive them."""

import re
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.errors import TableError
from ccp_assess.widgets.controls import FileDrop, Slider, Timeline, WorldMap, file_name
from ccp_assess.widgets.panel import STATIC


class Received:
    """Stands for what a panel does with files."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.places: list[Path] = []

    def __call__(self, name: str, path: Path) -> str:
        if name == "bad.txt":
            raise TableError("this is nothing", file=name)
        self.files.append((name, path.read_bytes()))
        self.places.append(path)
        return f"{name} came"


@pytest.fixture
def received() -> Received:
    return Received()


@pytest.fixture
def drop(received: Received, monkeypatch: pytest.MonkeyPatch) -> FileDrop:
    made = FileDrop(received, "drop here")
    made.sent = []
    monkeypatch.setattr(made, "send", made.sent.append)
    return made


def send(drop: Any, name: str, pieces: list[bytes], *, bytes_said: int | None = None) -> None:
    total = sum(map(len, pieces)) if bytes_said is None else bytes_said
    drop._on_message(drop, {"type": "begin", "id": "1", "name": name, "bytes": total}, [])
    offset = 0
    for piece in pieces:
        drop._on_message(drop, {"type": "piece", "id": "1", "offset": offset}, [memoryview(piece)])
        offset += len(piece)
    drop._on_message(drop, {"type": "end", "id": "1"}, [])


def test_a_file_comes_piece_by_piece_and_nothing_is_left_of_it(drop: Any, received: Received) -> None:
    send(drop, "call.pcap", [b"a" * 1000, b"b" * 10])
    assert received.files == [("call.pcap", b"a" * 1000 + b"b" * 10)]
    assert [message["type"] for message in drop.sent] == ["go", "go", "go", "done"]
    assert drop.sent[-1]["text"] == "call.pcap came"
    assert not received.places[0].exists()


def test_an_empty_file_is_a_file(drop: Any, received: Received) -> None:
    send(drop, "empty.txt", [])
    assert received.files == [("empty.txt", b"")]


def test_a_file_that_is_refused_is_said_and_gone(drop: Any) -> None:
    send(drop, "bad.txt", [b"x"])
    assert drop.sent[-1] == {"type": "problem", "id": "1", "text": "bad.txt: this is nothing"}
    assert drop._arriving is None


def test_a_file_that_changed_meanwhile_is_refused(drop: Any, received: Received) -> None:
    send(drop, "x.txt", [b"abc"], bytes_said=10)
    assert drop.sent[-1]["type"] == "problem"
    assert received.files == []


def test_stopping_keeps_nothing_and_what_comes_late_is_ignored(drop: Any, received: Received) -> None:
    drop._on_message(drop, {"type": "begin", "id": "1", "name": "x", "bytes": 2}, [])
    place = drop._arriving.path
    drop._on_message(drop, {"type": "stop", "id": "1"}, [])
    drop._on_message(drop, {"type": "piece", "id": "1", "offset": 0}, [b"xx"])
    drop._on_message(drop, {"type": "end", "id": "1"}, [])
    assert drop.sent[-1]["type"] == "done"
    assert received.files == []
    assert not place.exists()


def test_a_piece_at_the_wrong_place_is_not_written(drop: Any, received: Received) -> None:
    drop._on_message(drop, {"type": "begin", "id": "1", "name": "x", "bytes": 2}, [])
    drop._on_message(drop, {"type": "piece", "id": "1", "offset": 5}, [b"xx"])
    drop._on_message(drop, {"type": "end", "id": "1"}, [])
    assert received.files == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\call.pcap", "call.pcap"),
        ("a<b>|c?.txt", "a_b__c_.txt"),
        ("..", "file"),
        ("", "file"),
        ("con.txt", "_con.txt"),
        ("a\x00b\n.txt", "a_b_.txt"),
        ("Büro Zürich.pcapng", "Büro Zürich.pcapng"),
    ],
)
def test_names_from_a_browser_stay_within_the_folder(sent: str, kept: str) -> None:
    assert file_name(sent) == kept


def test_a_very_long_name_keeps_its_ending() -> None:
    name = file_name("x" * 400 + ".pcapng")
    assert len(name) == 120
    assert name.endswith(".pcapng")
    assert len(file_name("y" * 400)) == 120


def test_a_slider_stays_between_its_ends() -> None:
    slider = Slider(value=1.0, min=0.0, max=3.0)
    slider.value = 9.0
    assert slider.value == 3.0
    slider.value = -1.0
    assert slider.value == 0.0


def test_a_timeline_and_a_map_begin_empty() -> None:
    assert Timeline().columns == []
    assert WorldMap().marks == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_no_script_of_ours_asks_a_server_or_builds_html_from_text(path: Path) -> None:
    script = path.read_text(encoding="utf-8")
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", script)
    assert not re.findall(r"\b(fetch|XMLHttpRequest|innerHTML|insertAdjacentHTML|eval|document\.write)\b", script)
    assert "export default" in script
