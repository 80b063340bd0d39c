"""What was measured for a site that does not exist is said, and never passes silently."""

from __future__ import annotations

from pathlib import Path

from ccp_assess.assess.region_ranking import rank_client

MTR = """Start: 2026-11-23T09:00:00+0000
HOST: desk                        Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- 192.0.2.1                  0.0%    10    1.0   1.0   1.0   1.1   0.0
  2.|-- 15.193.6.1                 0.0%    10   20.0  20.0  19.0  22.0   0.5
"""


def test_a_trace_of_an_unknown_site_is_left_out_by_name(tmp_path):
    (tmp_path / "client.toml").write_text("", encoding="utf-8")
    (tmp_path / "sites.csv").write_text('site_id,place,agents\nLIS,"Lisbon, PT",5\n', encoding="utf-8")
    (tmp_path / "probes").mkdir()
    (tmp_path / "probes" / "PORTO__mtr.txt").write_text(MTR, encoding="utf-8")
    ranking, left_out = rank_client(tmp_path, draws=50)
    assert any("PORTO__mtr.txt belongs to no site" in sentence for sentence in left_out)
    assert all(row["basis"] == "modelled" for o in ranking.to_document()["options"] for row in o["by_site"])


def test_a_capture_of_an_unknown_site_is_left_out_by_name(tmp_path):
    (tmp_path / "client.toml").write_text("", encoding="utf-8")
    (tmp_path / "sites.csv").write_text('site_id,place,agents\nLIS,"Lisbon, PT",5\n', encoding="utf-8")
    (tmp_path / "captures").mkdir()
    call = Path(__file__).resolve().parents[2] / "data" / "sample" / "captures" / "DEN" / "bench__desk-call.pcap"
    (tmp_path / "captures" / "PORTO__call.pcap").write_bytes(call.read_bytes())
    _, left_out = rank_client(tmp_path, draws=50)
    assert any("PORTO__call.pcap belongs to no site" in sentence for sentence in left_out)
