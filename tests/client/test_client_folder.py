"""The client folder as a whole: settings, evidence, what is unknown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ccp_assess.client import Client, read_client
from ccp_assess.errors import TableError

Write = Callable[[str, str], Path]


def problem(folder: Path) -> TableError:
    with pytest.raises(TableError) as caught:
        read_client(folder)
    assert "\n" not in str(caught.value)
    return caught.value


def test_settings_and_sites_are_enough_and_the_rest_is_said_to_be_unknown(folder: Path) -> None:
    client = read_client(folder)
    assert (client.name, client.date, client.agents) == ("Example", "2026-11-23", 160)
    told = " ".join(client.unknowns)
    for word in (
        "callers.csv",
        "transfers.csv",
        "reroutes.csv",
        "capture",
        "measurement",
        "logs",
        "firewall",
        "uplink",
    ):
        assert word in told
    assert all(sentence.endswith(".") for sentence in client.unknowns)


def test_what_is_given_is_not_called_unknown(folder: Path, write: Write) -> None:
    write("callers.csv", "origin_id,country,call_share_pct\nA,DE,100\n")
    write("probes/LIS__mtr.txt", "x")
    write("probes/BER/mtr.txt", "x")
    told = " ".join(read_client(folder).unknowns)
    assert "callers.csv" not in told
    assert "No measurement" not in told


def test_the_name_of_the_folder_stands_in_for_a_missing_name(folder: Path, write: Write) -> None:
    client = read_client(write("client.toml", ""))
    assert client.name == "Kunde Zürich"
    assert client.date is None


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("[constraint]\n", 1, ["'constraint'", "did you mean [constraints]?"]),
        ("[constraints]\nallowed_region = []\n", 2, ["'allowed_region'", "did you mean allowed_regions?"]),
        ('allowed_regions = ["eu-west-2"]\n', 1, ["belongs under [constraints]"]),
        ("client = 3\n", 1, ["[client]"]),
        ('[constraints]\nallowed_regions = ["eu-west-9"]\n', 2, ["'eu-west-9'", "did you mean", "us-west-2"]),
        ('[constraints]\nexcluded_regions = ["London"]\n', 2, ["did you mean eu-west-2?", "af-south-1"]),
        ("[constraints]\nallowed_regions = [1, 2]\n", 2, ["list of names"]),
        ('[constraints]\nallowed_regions=["eu-west-2"]\nexcluded_regions=["eu-west-2"]\n', 3, ["both allowed"]),
        ('[constraints]\nservices = ["teleport"]\n', 2, ["teleport", "voice"]),
        ('[constraints]\nresidency = ["Atlantis"]\n', 2, ["Atlantis", "ISO"]),
        ('[constraints]\nresiliency_pair = "yes"\n', 2, ["neither true nor false"]),
        ("[weights]\nagents = -1\n", 2, ["negative"]),
        ("[weights]\nagents = nan\n", 2, ["no number"]),
        ("[weights]\nagents = 1e308\n", 2, ["1e+308", "0.000001 to 1000000"]),
        ("[weights]\nagents = 5e-324\n", 2, ["5e-324", "0.000001 to 1000000"]),
        ("[weights]\nhops = true\n", 2, ["no number"]),
        ("[weights]\nagents = 0\ncallers = 0\ntransfers = 0\n", 2, ["are all 0"]),
        ('[client]\ndate = "yesterday"\n', 2, ["2026-11-23"]),
        ("[client]\nname = 7\n", 2, ["quotation marks"]),
        ('[measure]\nprobes_match = "whatever"\n', 2, ["SITE__*.json|txt"]),
        ("[client\nname = 1\n", None, ["not valid TOML", "line 1"]),
        (f"[client]\nname = {'[' * 5000}\n", None, ["not valid TOML", "nested too deep"]),
        (f"[weights]\nagents = {'9' * 5000}\n", None, ["not valid TOML", "digits"]),
    ],
)
def test_wrong_settings_name_line_key_and_the_fix(write: Write, text: str, row: int | None, words: list[str]) -> None:
    error = problem(write("client.toml", text))
    assert (error.file, error.row) == ("client.toml", row)
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        (f'[client]\nname = """\n[ {" " * 20_000} x\n"""\n[weights]\nagents = -1\n', 6),
        (f'[client]\nname = "{" " * 100_000}"\n  [ "weights" ]  # what matters\n"agents" = -1\n', 4),
        ("[weights]\n" + "x" * 100_000 + " = 1\n", 2),
    ],
    ids=["blanks", "quotes", "long"],
)
def test_the_line_of_a_wrong_key_is_found_at_once_however_long_lines_are(write: Write, text: str, row: int) -> None:
    error = problem(write("client.toml", text))
    assert (error.row, len(str(error)) < 500) == (row, True)


def test_settings_are_read_whatever_notepad_makes_of_them(folder: Path) -> None:
    limits = '[constraints]\r\nallowed_regions = ["EU-West-2"]\r\nresidency = ["eu", "UK"]\r\n'
    text = '[client]\r\nname = "Zürich AG"\r\n' + limits
    for data in (b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
        (folder / "client.toml").write_bytes(data)
        client = read_client(folder)
        assert client.name == "Zürich AG"
        assert client.constraints.allowed_regions == ("eu-west-2",)
        assert client.constraints.residency == ("EU", "GB")


def test_settings_that_are_not_utf8_say_what_to_do(folder: Path) -> None:
    (folder / "client.toml").write_bytes('[client]\nname = "Zürich"\n'.encode("cp1252"))
    error = problem(folder)
    assert (error.file, error.row) == ("client.toml", 2)
    assert "save the file as UTF-8" in str(error)


def test_a_missing_folder_and_missing_files_say_how_to_make_them(tmp_path: Path, folder: Path) -> None:
    assert "ccp-assess new" in str(problem(tmp_path / "nobody"))
    (folder / "sites.csv").unlink()
    missing = problem(folder)
    assert missing.file == "sites.csv"
    assert "questionnaire.xlsx" in str(missing)
    (folder / "client.toml").unlink()
    assert problem(folder).file == "client.toml"


def test_a_file_is_no_client_folder(folder: Path) -> None:
    assert "a file, not a client folder" in str(problem(folder / "sites.csv"))


def sites_of(client: Client, kind: str) -> dict[str, str | None]:
    return {file.path.name: file.site_id for file in getattr(client, kind)}


def test_files_belong_to_the_site_of_their_folder_or_of_their_name(folder: Path, write: Write) -> None:
    for name in (
        "captures/LIS/call one.pcapng",
        "captures/ber/deep/er.pcap.gz",
        "captures/BER__call.pcap",
        "captures/loose.pcap",
        "captures/.DS_Store",
        "captures/README.txt",
        "captures/LIS/Thumbs.db",
        "captures/LIS/call.truth.json",
        "logs/LIS/agent-log.txt",
        "rules/firewall.csv",
    ):
        write(name, "x")
    client = read_client(folder)
    assert sites_of(client, "captures") == {
        "call one.pcapng": "LIS",
        "er.pcap.gz": "BER",
        "BER__call.pcap": "BER",
        "loose.pcap": None,
    }
    assert sites_of(client, "logs") == {"agent-log.txt": "LIS"}
    assert sites_of(client, "rules") == {"firewall.csv": None}
    told = " ".join(client.unknowns)
    assert "loose.pcap" in told
    assert "call.truth.json is no capture" in told


def test_a_probe_document_names_its_site_inside(folder: Path, write: Write) -> None:
    write("probes/a.json", json.dumps({"site_id": "BER", "regions": []}))
    write("probes/LIS__b.json", json.dumps({"site_id": "BER", "regions": []}))
    write("probes/LIS/c.json", json.dumps({"site_id": "BER", "regions": []}))
    write("probes/LIS__d.txt", "traceroute to x")
    write("probes/monitor.jsonl", '{"site_id": "LIS"}\n{"site_id": "LIS"}\n')
    write("probes/broken.json", "{")
    assert sites_of(read_client(folder), "probes") == {
        "a.json": "BER",
        "LIS__b.json": "BER",
        "c.json": "LIS",
        "LIS__d.txt": "LIS",
        "monitor.jsonl": "LIS",
        "broken.json": None,
    }


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('"site_id"', {"LIS__a.json": "BER", "LIS__b.txt": None, "mtr-BER-1.txt": None}),
        ('"name"', {"LIS__a.json": "LIS", "LIS__b.txt": "LIS", "mtr-BER-1.txt": None}),
        ('"SITE__*.json|txt"', {"LIS__a.json": "LIS", "LIS__b.txt": "LIS", "mtr-BER-1.txt": None}),
        ('"mtr-SITE-*.txt"', {"LIS__a.json": None, "LIS__b.txt": None, "mtr-BER-1.txt": "BER"}),
        ('{ "mtr-*" = "LIS" }', {"LIS__a.json": "BER", "LIS__b.txt": "LIS", "mtr-BER-1.txt": "LIS"}),
    ],
)
def test_how_probes_name_their_site_can_be_said(
    folder: Path, write: Write, rule: str, expected: dict[str, str]
) -> None:
    write("client.toml", f"[measure]\nprobes_match = {rule}\n")
    write("probes/LIS__a.json", json.dumps({"site_id": "BER"}))
    write("probes/LIS__b.txt", "x")
    write("probes/mtr-BER-1.txt", "x")
    assert sites_of(read_client(folder), "probes") == expected


def test_a_file_that_names_an_unknown_site_is_read_without_one_and_that_is_said(folder: Path, write: Write) -> None:
    write("captures/MUC/call.pcap", "x")
    write("probes/MUC__mtr.txt", "x")
    client = read_client(folder)
    assert sites_of(client, "captures") == {"call.pcap": None}
    assert sum("names the site 'MUC'" in sentence for sentence in client.unknowns) == 2


def test_a_client_can_be_looked_at_as_tables(folder: Path, write: Write) -> None:
    write("callers.csv", "origin_id,country,call_share_pct\nA,DE,100\n")
    write("captures/LIS/call.pcap", "x")
    client = read_client(folder)
    assert list(client.to_frame()["agents"]) == [120, 40]
    assert client.to_frame()["uplink_mbps"].isna().all()
    assert client.to_frame()["uplink_mbps"].dtype == "float64"
    assert list(client.to_frame("callers")["country"]) == ["DE"]
    assert list(client.to_frame("files")["site_id"]) == ["LIS"]
    assert client.to_frame("reroutes").empty
    with pytest.raises(KeyError, match="there are sites, callers"):
        client.to_frame("side")
    assert "2 sites with 160 agents" in client._repr_html_()
