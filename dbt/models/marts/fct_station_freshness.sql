{{ config(unique_key='station_id') }}
-- The time of a build would make every build another table: the age is that at the end of the
-- hour or day the build is for (WEATHER_AS_OF), by hand that at the start of this hour.
with newest as (
    select
        max(last_observed_at) as observed_at,
        greatest(
            max(last_observed_at),
            '{{ env_var("WEATHER_AS_OF", run_started_at.strftime("%Y-%m-%dT%H:00:00Z")) }}'::timestamptz
        ) as as_of
    from {{ ref('dim_stations') }}
),

ages as (
    select
        stations.station_id,
        stations.station_name,
        stations.state,
        stations.last_observed_at as last_seen,
        newest.observed_at as newest_in_lake,
        newest.as_of,
        (epoch(newest.observed_at) - epoch(stations.last_observed_at)) / 3600 as behind_hours,
        (epoch(newest.as_of) - epoch(stations.last_observed_at)) / 3600 as age_hours
    from {{ ref('dim_stations') }} as stations
    cross join newest
)

select
    station_id,
    station_name,
    state,
    last_seen,
    newest_in_lake,
    round(behind_hours, 2) as behind_hours,
    as_of,
    round(age_hours, 2) as age_hours,
    case
        when last_seen is null then 'never'
        when age_hours <= 2 then 'fresh'
        when age_hours <= 6 then 'late'
        when age_hours <= 48 then 'stale'
        else 'silent'
    end as freshness
from ages
