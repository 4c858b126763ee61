{{ config(unique_key='station_day_id') }}

with observations as (
    select
        observations.*,
        coalesce(stations.local_time_zone, 'UTC') as local_time_zone,
        timezone(coalesce(stations.local_time_zone, 'UTC'), observations.observed_at)::date
            as local_date
    from {{ ref('stg_observations') }} as observations
    left join {{ ref('stg_stations') }} as stations
        on stations.station_id = observations.station_id
),

-- First by hour, so that an hour with many special reports weighs as much as any other.
hours as (
    select
        station_id,
        local_time_zone,
        local_date,
        date_trunc('hour', observed_at) as hour_utc,
        count(*) as observations,
        min(temperature_c) as temperature_min_c,
        max(temperature_c) as temperature_max_c,
        {{ exact_mean('temperature_c') }} as temperature_mean_c,
        {{ exact_mean('dewpoint_c') }} as dewpoint_mean_c,
        {{ exact_mean('relative_humidity_percent') }} as relative_humidity_mean_percent,
        {{ exact_mean('wind_speed_mps') }} as wind_speed_mean_mps,
        max(wind_speed_mps) as wind_speed_max_mps,
        max(wind_gust_mps) as wind_gust_max_mps,
        {{ exact_mean('sea_level_pressure_pa') }} as sea_level_pressure_mean_pa,
        min(visibility_m) as visibility_min_m,
        max(precipitation_last_hour_mm) as precipitation_mm
    from observations
    group by station_id, local_time_zone, local_date, date_trunc('hour', observed_at)
),

days as (
    select
        station_id,
        local_date,
        local_time_zone,
        sum(observations)::integer as observations,
        count(*)::integer as hours_observed,
        -- 23 or 25 on the days the clocks change.
        (
            epoch(timezone(local_time_zone, local_date::timestamp + interval 1 day))
            - epoch(timezone(local_time_zone, local_date::timestamp))
        )::integer // 3600 as hours_in_day,
        round(min(temperature_min_c), 2) as temperature_min_c,
        round(max(temperature_max_c), 2) as temperature_max_c,
        round({{ exact_mean('temperature_mean_c') }}, 2) as temperature_mean_c,
        round({{ exact_mean('dewpoint_mean_c') }}, 2) as dewpoint_mean_c,
        round({{ exact_mean('relative_humidity_mean_percent') }}, 2) as relative_humidity_mean_percent,
        round({{ exact_mean('wind_speed_mean_mps') }}, 2) as wind_speed_mean_mps,
        round(max(wind_speed_max_mps), 2) as wind_speed_max_mps,
        round(max(wind_gust_max_mps), 2) as wind_gust_max_mps,
        round({{ exact_mean('sea_level_pressure_mean_pa') }}, 0) as sea_level_pressure_mean_pa,
        round(min(visibility_min_m), 0) as visibility_min_m,
        -- The sum of what is known; null when nothing is, which is not the same as dry.
        round({{ exact_sum('precipitation_mm') }}, 3) as precipitation_mm,
        count(precipitation_mm)::integer as precipitation_hours
    from hours
    group by station_id, local_date, local_time_zone
)

select
    station_id || '|' || strftime(local_date, '%Y-%m-%d') as station_day_id,
    station_id,
    local_date,
    local_time_zone,
    observations,
    hours_observed,
    hours_in_day,
    round(100.0 * hours_observed / hours_in_day, 1)::double as coverage_percent,
    hours_observed >= hours_in_day as is_complete,
    temperature_min_c,
    temperature_max_c,
    temperature_mean_c,
    dewpoint_mean_c,
    relative_humidity_mean_percent,
    wind_speed_mean_mps,
    wind_speed_max_mps,
    wind_gust_max_mps,
    sea_level_pressure_mean_pa,
    visibility_min_m,
    precipitation_mm,
    precipitation_hours
from days
