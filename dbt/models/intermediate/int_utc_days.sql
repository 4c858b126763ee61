-- Every UTC day between a station's first and last report, with the hours the grid has of it.
-- A later report lengthens the grid of what was the last day, so its hours are in the fingerprint.
with reported as (
    select
        station_id,
        local_time_zone,
        day_utc,
        min(hour_utc) as first_hour,
        max(hour_utc) as last_hour,
        {{ fingerprint(['local_time_zone']) }} as reports_fingerprint
    from {{ ref('int_reports') }}
    group by station_id, local_time_zone, day_utc
),

spans as (
    select
        station_id,
        local_time_zone,
        min(first_hour) as first_hour,
        max(last_hour) as last_hour
    from reported
    group by station_id, local_time_zone
),

days as (
    select
        *,
        unnest(generate_series(first_hour::date, last_hour::date, interval 1 day))::date as day
    from spans
),

hours as (
    select
        station_id,
        local_time_zone,
        day,
        greatest(first_hour, day::timestamptz) as first_hour,
        least(last_hour, day::timestamptz + interval 23 hour) as last_hour
    from days
)

select
    hours.*,
    to_hex(hash(
        reported.reports_fingerprint, hours.local_time_zone, hours.first_hour, hours.last_hour
    )) as reports_fingerprint
from hours
left join reported
    on reported.station_id = hours.station_id and reported.day_utc = hours.day
