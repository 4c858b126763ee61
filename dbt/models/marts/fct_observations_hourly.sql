{{ config(unique_key='station_hour_id') }}

select
    station_id || '|' || strftime(date_trunc('hour', observed_at), '%Y-%m-%dT%H:%MZ')
        as station_hour_id,
    station_id,
    date_trunc('hour', observed_at) as hour_utc,
    count(*)::integer as observations,
    round({{ exact_mean('temperature_c') }}, 2) as temperature_c,
    round({{ exact_mean('dewpoint_c') }}, 2) as dewpoint_c,
    round({{ exact_mean('relative_humidity_percent') }}, 2) as relative_humidity_percent,
    {{ mean_direction('wind_direction_deg', 'wind_speed_mps') }} as wind_direction_deg,
    round({{ exact_mean('wind_speed_mps') }}, 2) as wind_speed_mps,
    round(max(wind_gust_mps), 2) as wind_gust_mps,
    round({{ exact_mean('barometric_pressure_pa') }}, 0) as barometric_pressure_pa,
    round({{ exact_mean('sea_level_pressure_pa') }}, 0) as sea_level_pressure_pa,
    round(min(visibility_m), 0) as visibility_m,
    -- Every report counts from the last full report on: the hour's largest is the hour's.
    round(max(precipitation_last_hour_mm), 3) as precipitation_mm
from {{ ref('stg_observations') }}
group by station_id, date_trunc('hour', observed_at)
