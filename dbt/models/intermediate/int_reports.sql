{{ config(materialized='table') }}
-- Reports with what one report alone tells: its hours and days, and what it felt like.
with stations as (
    select station_id, local_time_zone from {{ ref('stg_stations') }}
),

reports as (
    select
        observations.* exclude (raw_message, present_weather, cloud_layers),
        coalesce(stations.local_time_zone, 'UTC') as local_time_zone,
        {{ fahrenheit('observations.temperature_c') }} as temperature_f,
        {{ mph('observations.wind_speed_mps') }} as wind_speed_mph
    from {{ ref('stg_observations') }} as observations
    left join stations on stations.station_id = observations.station_id
)

select
    *,
    date_trunc('hour', observed_at) as hour_utc,
    observed_at::date as day_utc,
    -- A station's days are those of the zone it has now: another zone is nearly always a
    -- correction, and moves all its days.
    timezone(local_time_zone, observed_at)::date as local_date,
    {{ heat_index_f('temperature_f', 'relative_humidity_percent') }} as heat_index_f,
    {{ wind_chill_f('temperature_f', 'wind_speed_mph') }} as wind_chill_f
from reports
