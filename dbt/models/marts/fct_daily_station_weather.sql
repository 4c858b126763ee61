{{ config(
    unique_key='station_day_id',
    changes_in='int_local_days',
    day='local_date',
) }}
-- depends_on: {{ ref('int_local_days') }}
-- Only the days whose reports changed are computed, as in fct_observations_hourly.
with changed as (
    select * from {{ changed_days() }} where reports_fingerprint is not null
),

reports as (
    select reports.*, changed.reports_fingerprint
    from {{ ref('int_reports') }} as reports
    inner join changed
        on changed.station_id = reports.station_id and changed.day = reports.local_date
),

-- First by hour, so that an hour with many special reports weighs as much as any other.
hours as (
    select
        station_id,
        local_time_zone,
        local_date,
        reports_fingerprint,
        hour_utc,
        count(*) as observations,
        min(temperature_c) as temperature_min_c,
        max(temperature_c) as temperature_max_c,
        {{ exact_mean('temperature_c') }} as temperature_mean_c,
        {{ exact_mean('dewpoint_c') }} as dewpoint_mean_c,
        {{ exact_mean('relative_humidity_percent') }} as relative_humidity_mean_percent,
        min(relative_humidity_percent) as relative_humidity_min_percent,
        max(relative_humidity_percent) as relative_humidity_max_percent,
        {{ exact_mean('wind_speed_mps') }} as wind_speed_mean_mps,
        {{ mean_direction('wind_direction_deg', 'wind_speed_mps') }} as wind_direction_deg,
        max(wind_speed_mps) as wind_speed_max_mps,
        max(wind_gust_mps) as wind_gust_max_mps,
        {{ exact_mean('sea_level_pressure_pa') }} as sea_level_pressure_mean_pa,
        min(visibility_m) as visibility_min_m,
        max(precipitation_last_hour_mm) as precipitation_mm,
        max(heat_index_f) as heat_index_max_f,
        min(wind_chill_f) as wind_chill_min_f,
        arg_max(text_description, observed_at) as text_description
    from reports
    group by station_id, local_time_zone, local_date, reports_fingerprint, hour_utc
),

words as (
    select station_id, local_date, text_description, count(*) as hours
    from hours
    where text_description is not null
    group by station_id, local_date, text_description
),

dominant as (
    select
        station_id,
        local_date,
        first(text_description order by hours desc, text_description) as dominant_weather
    from words
    group by station_id, local_date
),

days as (
    select
        station_id,
        local_date,
        local_time_zone,
        reports_fingerprint,
        sum(observations)::integer as observations,
        count(*)::integer as hours_observed,
        -- 23 or 25 on the days the clocks change.
        (
            epoch(timezone(local_time_zone, local_date::timestamp + interval 1 day))
            - epoch(timezone(local_time_zone, local_date::timestamp))
        )::integer // 3600 as hours_in_day,
        count(temperature_mean_c)::integer as temperature_hours,
        min(temperature_min_c) as temperature_min_c,
        max(temperature_max_c) as temperature_max_c,
        {{ exact_mean('temperature_mean_c') }} as temperature_mean_c,
        {{ exact_mean('dewpoint_mean_c') }} as dewpoint_mean_c,
        {{ exact_mean('relative_humidity_mean_percent') }} as relative_humidity_mean_percent,
        min(relative_humidity_min_percent) as relative_humidity_min_percent,
        max(relative_humidity_max_percent) as relative_humidity_max_percent,
        {{ mean_direction('wind_direction_deg', 'wind_speed_mean_mps') }} as wind_direction_deg,
        {{ exact_mean('wind_speed_mean_mps') }} as wind_speed_mean_mps,
        max(wind_speed_max_mps) as wind_speed_max_mps,
        max(wind_gust_max_mps) as wind_gust_max_mps,
        -- An hour at 1 m/s is 3.6 km.
        3.6::double * {{ exact_sum('wind_speed_mean_mps') }} as wind_run_km,
        {{ exact_mean('sea_level_pressure_mean_pa') }} as sea_level_pressure_mean_pa,
        min(visibility_min_m) as visibility_min_m,
        -- The sum of what is known; null when nothing is, which is not the same as dry.
        {{ exact_sum('precipitation_mm') }} as precipitation_mm,
        count(precipitation_mm)::integer as precipitation_hours,
        max(heat_index_max_f) as heat_index_max_f,
        min(wind_chill_min_f) as wind_chill_min_f
    from hours
    group by station_id, local_date, local_time_zone, reports_fingerprint
),

judged as (
    select
        *,
        temperature_hours >= {{ var('representative_share') }} * hours_in_day as is_representative,
        -- Degree days are counted from the mean of the day's extremes, as the NWS does.
        case
            when temperature_hours >= {{ var('representative_share') }} * hours_in_day
                then (temperature_min_c + temperature_max_c) / 2
        end as middle_c
    from days
)

select
    judged.station_id || '|' || strftime(judged.local_date, '%Y-%m-%d') as station_day_id,
    judged.station_id,
    judged.local_date,
    local_time_zone,
    observations,
    hours_observed,
    hours_in_day,
    round(100.0 * hours_observed / hours_in_day, 1)::double as coverage_percent,
    hours_observed >= hours_in_day as is_complete,
    temperature_hours,
    is_representative,
    round(temperature_min_c, 2) as temperature_min_c,
    round({{ fahrenheit('temperature_min_c') }}, 2) as temperature_min_f,
    round(temperature_max_c, 2) as temperature_max_c,
    round({{ fahrenheit('temperature_max_c') }}, 2) as temperature_max_f,
    round(temperature_mean_c, 2) as temperature_mean_c,
    round({{ fahrenheit('temperature_mean_c') }}, 2) as temperature_mean_f,
    round(dewpoint_mean_c, 2) as dewpoint_mean_c,
    round({{ fahrenheit('dewpoint_mean_c') }}, 2) as dewpoint_mean_f,
    round(relative_humidity_mean_percent, 2) as relative_humidity_mean_percent,
    round(relative_humidity_min_percent, 2) as relative_humidity_min_percent,
    round(relative_humidity_max_percent, 2) as relative_humidity_max_percent,
    wind_direction_deg,
    round(wind_speed_mean_mps, 2) as wind_speed_mean_mps,
    round({{ mph('wind_speed_mean_mps') }}, 2) as wind_speed_mean_mph,
    round(wind_speed_max_mps, 2) as wind_speed_max_mps,
    round({{ mph('wind_speed_max_mps') }}, 2) as wind_speed_max_mph,
    round(wind_gust_max_mps, 2) as wind_gust_max_mps,
    round({{ mph('wind_gust_max_mps') }}, 2) as wind_gust_max_mph,
    round(wind_run_km, 1) as wind_run_km,
    round({{ miles('1000 * wind_run_km') }}, 1) as wind_run_mi,
    round(sea_level_pressure_mean_pa, 0) as sea_level_pressure_mean_pa,
    round({{ inches_of_mercury('sea_level_pressure_mean_pa') }}, 2) as sea_level_pressure_mean_inhg,
    round(visibility_min_m, 0) as visibility_min_m,
    round({{ miles('visibility_min_m') }}, 2) as visibility_min_mi,
    round(precipitation_mm, 3) as precipitation_mm,
    round({{ inches('precipitation_mm') }}, 4) as precipitation_in,
    precipitation_hours,
    round({{ celsius('heat_index_max_f') }}, 2) as heat_index_max_c,
    round(heat_index_max_f, 2) as heat_index_max_f,
    round({{ celsius('wind_chill_min_f') }}, 2) as wind_chill_min_c,
    round(wind_chill_min_f, 2) as wind_chill_min_f,
    {{ degree_days('65 - ' ~ fahrenheit('middle_c')) }} as hdd_f,
    {{ degree_days(fahrenheit('middle_c') ~ ' - 65') }} as cdd_f,
    {{ degree_days(fahrenheit('middle_c') ~ ' - 50') }} as gdd_f,
    {{ degree_days('18 - middle_c') }} as hdd_c,
    {{ degree_days('middle_c - 18') }} as cdd_c,
    dominant.dominant_weather,
    reports_fingerprint
from judged
left join dominant
    on dominant.station_id = judged.station_id and dominant.local_date = judged.local_date
