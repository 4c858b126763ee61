"""The hours of a day that were requested, so that the others do not count as missing."""

import datetime as dt

from jobs.report.lake import Lake

# The lake does not hold the requests themselves. An hour counts as requested if any station
# reported in it, or if it lies in a gap of less than six hours between such hours: a shorter gap
# is an outage, a longer one is rather a back-fill that stopped, or never began.
REQUESTED = """
    heard as (
        select distinct date_trunc('hour', observed_at) as hour from lake.weather.observations
        where observed_at >= $first::timestamptz - interval 3 day
            and observed_at < $date::timestamptz + interval 3 day
    ),
    jumps as (
        select hour, hour - lag(hour) over (order by hour) > interval 6 hour as jump from heard
    ),
    spells as (select hour, count_if(jump) over (order by hour) as spell from jumps),
    spans as (
        select unnest(generate_series(min(hour), max(hour), interval 1 hour)) as hour
        from spells group by spell
    ),
    zones as (select distinct local_time_zone as zone from lake.marts.dim_stations),
    requested as (
        select zone, timezone(zone, hour)::date as local_date, count(*) as requested
        from spans cross join zones
        group by all
    )
"""


def requested_hours(lake: Lake, date: dt.date) -> dict[str, int]:
    """Return how many hours of a day were requested, by time zone."""
    rows = lake.ask(
        f"with {REQUESTED} select zone, requested from requested"  # noqa: S608 - our own
        " where local_date = $date",
        first=date,
        date=date,
    )
    return {row["zone"]: row["requested"] for row in rows}
