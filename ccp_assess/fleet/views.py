"""Ready views over the dataset, in SQL; percentiles are exact, nearest rank.

Sorting a hundred million values costs gigabytes. The one-second series holds whole numbers of 10 µs, so equal values
are counted first and the few thousand counts are walked: the same answer for a fraction of the work.
"""

# ruff: noqa: S608, ISC004  (the SQL is put together of our own names alone; pieces of a sentence stand on lines)

from __future__ import annotations

_SUMS = "count(*) as n, sum(packets) as packets, sum(lost) as lost, sum(late) as late"
_SUMS_OF_SUMS = "sum(n) as n, sum(packets) as packets, sum(lost) as lost, sum(late) as late"


def _picks(name: str) -> str:
    """Take the percentiles from cumulated counts [ms]."""
    return ", ".join(
        f"min(v) filter (where c * 100 >= {percent} * t) / 100.0 as {name}_p{percent}_ms" for percent in (50, 95)
    )


def _quality(keys: str, counted_by: str, renamed: str = "") -> str:
    """Loss, jitter and round trips of received audio per key: two passes over the series, then only counts.

    Parameters
    ----------
    keys
        Names of the answer's keys.
    counted_by
        What rows of the series are counted by.
    renamed
        A join of the counts that gives them their keys where they are others.

    Returns
    -------
    sql
        A select.
    """
    # Round trips belong to the second of a call and stand beside each of its streams: those beside incoming ones count.
    received = "from seconds where direction <> 'out'"
    over = f"partition by {keys}"

    def walked(counts: str, sums: str) -> str:
        return (
            f"select *, sum(n) over ({over} order by v nulls last) as c, "
            f"sum(n) filter (where v is not null) over ({over}) as t "
            f"from (select {keys}, v, {sums} from {counts} {renamed} group by all)"
        )

    return f"""
with jitters as materialized (select {counted_by}, jitter_10us as v, {_SUMS} {received} group by all),
trips as materialized (
  select {counted_by}, rtt_media_10us as v, count(*) as n {received} and rtt_media_10us is not null group by all)
select * from (
  select {keys}, sum(n)::bigint as seconds, sum(packets)::bigint as packets, sum(lost)::bigint as lost,
    round(100.0 * sum(lost) / nullif(sum(packets) + sum(lost), 0), 4) as loss_pct,
    round(100.0 * sum(late) / nullif(sum(packets), 0), 4) as late_pct, {_picks("jitter")}
  from ({walked("jitters", _SUMS_OF_SUMS)}) group by {keys})
left join (
  select {keys}, {_picks("rtt")}, max(t)::bigint as rtt_n
  from ({walked("trips", "sum(n) as n")}) group by {keys}) using ({keys})
"""


_SITES = "join (select distinct client, site_id, site_key from captures) using (site_key)"

_PROVIDERS = f"""{_SITES} left join (
  select client, site_id, coalesce(s.provider, 'AS' || a.provider_asn, 'unknown') as provider
  from (select client, site_id, max(provider) as provider from sites group by all) s
  full join (
    select client, site_id, mode(provider_asn) as provider_asn from probes where provider_asn is not null group by all
  ) a using (client, site_id)) using (client, site_id)"""

VIEWS: dict[str, tuple[str, str]] = {
    "worst_sites": (
        "sites by the jitter, loss and round trip of received audio, worst first",
        f"select * from ({_quality('client, site_id', 'site_key', _SITES)}) "
        "order by loss_pct + late_pct desc nulls last, jitter_p95_ms desc nulls last, client, site_id",
    ),
    "by_hour": (
        "the same by hour of the day, UTC",
        f"select * from ({_quality('hour_utc', 'hour(time) as hour_utc')}) order by hour_utc",
    ),
    "by_provider": (
        "the same by provider: column `provider` of sites.csv, else the first network on the path of the probes",
        f"select * from ({_quality('provider', 'site_key', _PROVIDERS)}) order by provider",
    ),
    "region_comparison": (
        "Regions per site by the round trips of the probes, best first",
        """
select client, site_id, region_code, count(*) as rounds, quantile_disc(rtt_p50_ms, 0.5) as rtt_p50_ms,
  quantile_disc(rtt_p95_ms, 0.95) as rtt_p95_ms, avg(loss_pct) as loss_mean_pct,
  quantile_disc(jitter_ms, 0.5) as jitter_p50_ms, quantile_disc(hop_count, 0.5) as hop_count_p50,
  case when count(rtt_p50_ms) > 0 then
    rank() over (partition by client, site_id order by quantile_disc(rtt_p50_ms, 0.5) nulls last) end as rank
from probes where region_code is not null group by client, site_id, region_code
order by client, site_id, rank nulls last, region_code
""",
    ),
}
"""View → what it shows, and its SQL over the tables."""

BEFORE_AFTER = f"""
create macro before_after(since) as table
select client, site_id, case when is_before then 'before' else 'after' end as period,
  * exclude (client, site_id, is_before)
from ({_quality("client, site_id, is_before", "site_key, time < since as is_before", _SITES)})
order by client, site_id, is_before desc
"""
"""Table function: ``select * from before_after(timestamp '2026-11-01')`` [UTC]."""

SECONDS_MS = """
create view seconds_ms as select * exclude
  (jitter_10us, ipdv_10us, longest_gap_10us, rtt_relay_10us, rtt_media_10us),
  jitter_10us / 100.0 as jitter_ms, ipdv_10us / 100.0 as ipdv_ms, longest_gap_10us / 100.0 as longest_gap_ms,
  rtt_relay_10us / 100.0 as rtt_relay_ms, rtt_media_10us / 100.0 as rtt_media_ms
from seconds
"""
"""The one-second series in milliseconds."""
