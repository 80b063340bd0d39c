"""Ready views over the dataset, in SQL; percentiles are exact, nearest rank.

Sorting a hundred million values costs gigabytes. How often each value stands in the one-second series was counted once
(`ccp_assess.fleet.counting`). A first look at these counts, by steps of 0.32 ms, tells in which step a percentile is;
a second one, at the values of that step alone, tells which value it is: the same answer for a fraction of the work.
What was not counted yet is counted when it is asked for.
"""

# ruff: noqa: S608, ISC004  (the SQL is put together of our own names alone; pieces of a sentence stand on lines)

from __future__ import annotations

from ccp_assess.fleet.schema import MEASURES, STEP_10US

COUNTED_COLUMNS = ("measure", "value_10us", "seconds", "packets", "lost", "late")
"""Columns of a table of counts beside those that it is divided by."""

_PERCENTS = (50, 95)
_SUMS = ", ".join(f"sum({name})::bigint as {name}" for name in COUNTED_COLUMNS[2:])


IN_STEPS = f"value_10us // {STEP_10US} as step"


def counted(keys: str, series: str) -> str:
    """Count values of the one-second series now.

    Parameters
    ----------
    keys
        What is counted by, as in a ``select``.
    series
        What stands after ``from``.

    Returns
    -------
    sql
        A select with the columns of the tables of counts.
    """

    def select(measure: str, column: str) -> str:
        is_first = measure == "jitter"
        sums = (f"sum({name})" if is_first else "null" for name in COUNTED_COLUMNS[-3:])
        named = ", ".join(f"{total}::bigint as {name}" for total, name in zip(sums, COUNTED_COLUMNS[-3:], strict=True))
        return (
            f"select {keys}, '{measure}' as measure, {column} as value_10us, count(*) as seconds, {named} "
            f"from {series} where direction <> 'out'{'' if is_first else f' and {column} is not null'} group by all"
        )

    return " union all ".join(select(measure, column) for measure, column in MEASURES.items())


def _quality(keys: str, counts: str, steps: str | None = None) -> str:
    """Loss, jitter and round trips of received audio per key.

    Parameters
    ----------
    keys
        Names of the answer's keys.
    counts
        What stands after ``from``: counts with the keys as columns.
    steps
        The same for counts by step; ``None`` to add them up from the others.

    Returns
    -------
    sql
        A select.
    """
    steps = steps or f"(select *, {IN_STEPS} from {counts})"
    names = keys.split(", ")

    def same(one: str, other: str) -> str:
        return " and ".join(f"{one}.{name} is not distinct from {other}.{name}" for name in names)

    def is_in_step(percent: int) -> str:
        return f"((up_to - seconds) * 100 < {percent} * known and up_to * 100 >= {percent} * known)"

    def percentiles(measure: str, name: str) -> str:
        return ", ".join(
            f"min(value_10us) filter (where measure = '{measure}' and up_to * 100 >= {percent} * known) / 100.0 "
            f"as {name}_p{percent}_ms"
            for percent in _PERCENTS
        )

    def total(name: str) -> str:
        return f"sum({name}) filter (where measure = 'jitter')"

    def known(measure: str) -> str:
        return f"sum(seconds) filter (where measure = '{measure}' and step is not null)::bigint"

    over = f"partition by {keys}, measure"
    return f"""
with counts as not materialized (select * from {counts}),
steps as materialized (
  select {keys}, measure, step, {_SUMS} from {steps} group by all),
reached as (
  select *, sum(seconds) over ({over} order by step nulls last) as up_to,
    sum(seconds) filter (where step is not null) over ({over}) as known
  from steps),
wanted as (
  select {keys}, measure, step, up_to - seconds as below, known from reached
  where step is not null and ({" or ".join(is_in_step(percent) for percent in _PERCENTS)})),
single as (
  select {", ".join(f"wanted.{name}" for name in names)}, wanted.measure, below, known, value_10us,
    sum(counts.seconds)::bigint as seconds
  from counts join wanted on {same("counts", "wanted")} and counts.measure = wanted.measure
    and counts.value_10us // {STEP_10US} = wanted.step
  group by all),
walked as (select *, below + sum(seconds) over ({over}, below order by value_10us) as up_to from single),
found as (
  select {keys}, {percentiles("jitter", "jitter")}, {percentiles("rtt_media", "rtt")},
    {percentiles("rtt_relay", "rtt_relay")}
  from walked group by {keys}),
totals as (
  select {keys}, {", ".join(f"{total(name)}::bigint as {name}" for name in ("seconds", "packets", "lost"))},
    round(100.0 * {total("lost")} / nullif({total("packets")} + {total("lost")}, 0), 4) as loss_pct,
    round(100.0 * {total("late")} / nullif({total("packets")}, 0), 4) as late_pct,
    {known("rtt_media")} as rtt_n, {known("rtt_relay")} as rtt_relay_n
  from steps group by {keys})
select totals.* exclude (rtt_n, rtt_relay_n), found.* exclude ({keys}), rtt_n, rtt_relay_n
from totals left join found on {same("totals", "found")}
"""


_PROVIDERS = """providers as materialized (
  select client, site_id, coalesce(said.provider, 'AS' || seen.provider_asn) as provider
  from (select client, site_id, max(provider) as provider from sites group by all) said
  full join (
    select client, site_id, mode(provider_asn) as provider_asn from probes where provider_asn is not null group by all
  ) seen using (client, site_id))"""


def _with_provider(table: str) -> str:
    return f"""(
  select coalesce(provider, 'unknown') as provider, {table}.* exclude (client, site_id)
  from {table} left join providers using (client, site_id))"""


_BY_PROVIDER = _quality("provider", _with_provider("site_counts"), _with_provider("site_steps"))

VIEWS: dict[str, tuple[str, str]] = {
    "worst_sites": (
        "sites by the jitter, loss and round trip of received audio, worst first",
        f"select * from ({_quality('client, site_id', 'site_counts', 'site_steps')}) "
        "order by loss_pct + late_pct desc nulls last, jitter_p95_ms desc nulls last, client, site_id",
    ),
    "by_hour": (
        "the same by hour of the day, UTC",
        f"select * from ({_quality('hour_utc', 'hour_counts')}) order by hour_utc",
    ),
    "by_day": (
        "the same by day, UTC",
        f"select * from ({_quality('client, day', 'hour_counts')}) order by client, day",
    ),
    "by_provider": (
        "the same by provider: column `provider` of sites.csv, else the first network on the path of the probes",
        f"with {_PROVIDERS} select * from ({_BY_PROVIDER}) order by provider",
    ),
    "by_region": (
        "the same by Region of the call, for each client",
        f"select * from ({_quality('client, region_code', 'site_counts', 'site_steps')}) "
        "order by client, region_code nulls last",
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
    "worst_calls": (
        "calls that failed, then calls by the quality of their received audio, worst first",
        """
select client, site_id, start_time, call_id, region_code, outcome, failure_phase, failure_reason,
  round(duration_ms / 1000, 1) as duration_s, in_mos_cqe, in_loss_pct, in_late_pct, in_jitter_ms, rtt_media_ms_p95,
  relay_transport, findings
from calls
order by outcome = 'failed' desc, in_mos_cqe nulls last, in_loss_pct desc nulls last, client, site_id, start_time,
  call_id
""",
    ),
    "calls_per_day": (
        "calls, failures and quality by site and day, UTC",
        """
select client, site_id, day, count(*) as calls, count(*) filter (where outcome = 'failed') as failed,
  round(sum(duration_ms) / 60000, 1) as minutes, quantile_disc(in_mos_cqe, 0.5) as in_mos_p50,
  min(in_mos_cqe) as in_mos_min, count(*) filter (where findings <> '') as calls_with_findings
from calls group by all order by client, day, site_id
""",
    ),
    "findings_by_code": (
        "findings by the number of sites that share them: what many sites have often has one cause",
        """
select code, severity, count(distinct (client, site_id)) as sites, count(distinct client) as clients,
  count(distinct (client, site_id, call_id)) filter (where call_id is not null) as calls, count(*) as findings,
  min(time) as first_time, max(time) as last_time, min(text) as example,
  array_to_string(list_sort(list(distinct site_id))[:8], ', ') as site_ids
from findings group by code, severity order by sites desc, findings desc, code, severity
""",
    ),
    "sites_without_data": (
        "sites of sites.csv of which nothing was recorded, or nothing probed: unknown, neither good nor bad",
        """
select client, site_id, name, place, agents, coalesce(captures, 0) as captures, coalesce(calls, 0) as calls,
  coalesce(probe_rounds, 0) as probe_rounds
from (select client, site_id, any_value(name) as name, any_value(place) as place, max(agents) as agents
  from sites group by all)
left join (select client, site_id, count(*) as captures from captures group by all) using (client, site_id)
left join (select client, site_id, count(*) as calls from calls group by all) using (client, site_id)
left join (select client, site_id, count(distinct (source, time)) as probe_rounds from probes group by all)
  using (client, site_id)
where captures is null or probe_rounds is null
order by coalesce(captures, 0) + coalesce(probe_rounds, 0), agents desc nulls last, client, site_id
""",
    ),
}
"""View → what it shows, and its SQL over the tables."""


_SINCE_DAY = "since::timestamp::date"

_THAT_DAY = counted("client, site_id, time < since::timestamp as is_before", f"(from seconds where day = {_SINCE_DAY})")
_SUMMED = ", ".join(COUNTED_COLUMNS[2:])


def _around(table: str, value: str, of_that_day: str) -> str:
    return f"""(
  select client, site_id, day < {_SINCE_DAY} as is_before, measure, {value}, {_SUMMED}
  from {table} where day <> {_SINCE_DAY}
  union all select client, site_id, is_before, measure, {of_that_day}, {_SUMMED} from that_day)"""


_AROUND = _quality(
    "client, site_id, is_before",
    _around("site_counts", "value_10us", "value_10us"),
    _around("site_steps", "step", IN_STEPS),
)

BEFORE_AFTER = f"""
create macro before_after(since) as table
with that_day as materialized ({_THAT_DAY})
select client, site_id, case when is_before then 'before' else 'after' end as period,
  * exclude (client, site_id, is_before)
from ({_AROUND})
order by client, site_id, is_before desc
"""
"""Table function: ``select * from before_after(timestamp '2026-11-01')`` [UTC].

Of the day of the instant alone each second is looked at.
"""

SECONDS_MS = """
create view seconds_ms as select * exclude
  (jitter_10us, ipdv_10us, longest_gap_10us, rtt_relay_10us, rtt_media_10us),
  jitter_10us / 100.0 as jitter_ms, ipdv_10us / 100.0 as ipdv_ms, longest_gap_10us / 100.0 as longest_gap_ms,
  rtt_relay_10us / 100.0 as rtt_relay_ms, rtt_media_10us / 100.0 as rtt_media_ms
from seconds
"""
"""The one-second series in milliseconds."""
