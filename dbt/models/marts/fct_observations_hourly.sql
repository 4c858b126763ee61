{{ config(
    unique_key='station_hour_id',
    changes_in='int_utc_days',
    day='hour_utc::date',
) }}
-- depends_on: {{ ref('int_utc_days') }}
-- Only the days whose fingerprint is another than the one in the table are computed. The
-- fingerprint is of the reports as they are, so it does not matter when or how they changed: late,
-- corrected or deleted, a day of the grid is made of nothing else.
with changed as (
    select * from {{ changed_days() }} where reports_fingerprint is not null
),

grid as (
    select
        station_id,
        local_time_zone,
        reports_fingerprint,
        unnest(generate_series(first_hour, last_hour, interval 1 hour)) as hour_utc
    from changed
),

reports as (
    select reports.*
    from {{ ref('int_reports') }} as reports
    inner join changed
        on changed.station_id = reports.station_id and changed.day = reports.day_utc
),

hours as (
    select
        station_id,
        hour_utc,
        count(*)::integer as observations,
        {{ exact_mean('temperature_c') }} as temperature_c,
        {{ exact_mean('dewpoint_c') }} as dewpoint_c,
        {{ exact_mean('relative_humidity_percent') }} as relative_humidity_percent,
        {{ mean_direction('wind_direction_deg', 'wind_speed_mps') }} as wind_direction_deg,
        {{ exact_mean('wind_speed_mps') }} as wind_speed_mps,
        max(wind_gust_mps) as wind_gust_mps,
        {{ exact_mean('barometric_pressure_pa') }} as barometric_pressure_pa,
        {{ exact_mean('sea_level_pressure_pa') }} as sea_level_pressure_pa,
        min(visibility_m) as visibility_m,
        -- Every report counts from the last full report on: the hour's largest is the hour's.
        max(precipitation_last_hour_mm) as precipitation_mm,
        max(heat_index_f) as heat_index_f,
        min(wind_chill_f) as wind_chill_f,
        arg_max(text_description, observed_at) as text_description
    from reports
    group by station_id, hour_utc
)

select
    grid.station_id || '|' || strftime(grid.hour_utc, '%Y-%m-%dT%H:%MZ') as station_hour_id,
    grid.station_id,
    grid.hour_utc,
    timezone(grid.local_time_zone, grid.hour_utc) as local_time,
    timezone(grid.local_time_zone, grid.hour_utc)::date as local_date,
    hours.station_id is null as is_gap,
    coalesce(hours.observations, 0) as observations,
    round(temperature_c, 2) as temperature_c,
    round({{ fahrenheit('temperature_c') }}, 2) as temperature_f,
    round(dewpoint_c, 2) as dewpoint_c,
    round({{ fahrenheit('dewpoint_c') }}, 2) as dewpoint_f,
    round(relative_humidity_percent, 2) as relative_humidity_percent,
    wind_direction_deg,
    round(wind_speed_mps, 2) as wind_speed_mps,
    round({{ mph('wind_speed_mps') }}, 2) as wind_speed_mph,
    round(wind_gust_mps, 2) as wind_gust_mps,
    round({{ mph('wind_gust_mps') }}, 2) as wind_gust_mph,
    round(barometric_pressure_pa, 0) as barometric_pressure_pa,
    round(sea_level_pressure_pa, 0) as sea_level_pressure_pa,
    round(visibility_m, 0) as visibility_m,
    round(precipitation_mm, 3) as precipitation_mm,
    round({{ inches('precipitation_mm') }}, 4) as precipitation_in,
    round({{ celsius('heat_index_f') }}, 2) as heat_index_c,
    round(heat_index_f, 2) as heat_index_f,
    round({{ celsius('wind_chill_f') }}, 2) as wind_chill_c,
    round(wind_chill_f, 2) as wind_chill_f,
    round(coalesce({{ celsius('coalesce(heat_index_f, wind_chill_f)') }}, temperature_c), 2)
        as apparent_temperature_c,
    round(coalesce(heat_index_f, wind_chill_f, {{ fahrenheit('temperature_c') }}), 2)
        as apparent_temperature_f,
    text_description,
    grid.reports_fingerprint
from grid
left join hours on hours.station_id = grid.station_id and hours.hour_utc = grid.hour_utc
