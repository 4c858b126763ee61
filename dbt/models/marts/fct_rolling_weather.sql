{{ config(unique_key='station_day_id') }}
{%- set windows = var('rolling_days_needed') %}

with days as (
    select
        station_day_id,
        station_id,
        local_date,
        precipitation_mm,
        case when is_representative then temperature_mean_c end as mean_c,
        case when is_representative then temperature_max_c end as max_c,
        case when is_representative then temperature_min_c end as min_c,
        hdd_f,
        cdd_f
    from {{ ref('fct_daily_station_weather') }}
),

rolled as (
    select
        station_day_id,
        station_id,
        local_date
        {%- for length in windows %},
        count(mean_c) over last_{{ length }} as days_{{ length }},
        count(precipitation_mm) over last_{{ length }} as precipitation_days_{{ length }},
        avg(mean_c::decimal(18, 6)) over last_{{ length }} as mean_{{ length }},
        max(max_c) over last_{{ length }} as max_{{ length }},
        min(min_c) over last_{{ length }} as min_{{ length }},
        (sum(precipitation_mm::decimal(18, 6)) over last_{{ length }})::double as rain_{{ length }},
        (sum(hdd_f::decimal(18, 6)) over last_{{ length }})::double as hdd_{{ length }},
        (sum(cdd_f::decimal(18, 6)) over last_{{ length }})::double as cdd_{{ length }}
        {%- endfor %}
    from days
    window
        {%- for length in windows %}
        last_{{ length }} as (
            partition by station_id
            order by local_date
            range between interval {{ length | int - 1 }} days preceding and current row
        ){{ ',' if not loop.last }}
        {%- endfor %}
)

select
    station_day_id,
    station_id,
    local_date
    {%- for length, needed in windows.items() %}
    {%- set enough = 'case when days_' ~ length ~ ' >= ' ~ needed ~ ' then ' %}
    {%- set known_rain = 'case when precipitation_days_' ~ length ~ ' >= ' ~ needed ~ ' then ' %},
    days_{{ length }}::integer as days_{{ length }}d,
    precipitation_days_{{ length }}::integer as precipitation_days_{{ length }}d,
    {{ enough }}round(mean_{{ length }}, 2) end as temperature_mean_{{ length }}d_c,
    {{ enough }}round({{ fahrenheit('mean_' ~ length) }}, 2) end as temperature_mean_{{ length }}d_f,
    {{ enough }}max_{{ length }} end as temperature_max_{{ length }}d_c,
    {{ enough }}round({{ fahrenheit('max_' ~ length) }}, 2) end as temperature_max_{{ length }}d_f,
    {{ enough }}min_{{ length }} end as temperature_min_{{ length }}d_c,
    {{ enough }}round({{ fahrenheit('min_' ~ length) }}, 2) end as temperature_min_{{ length }}d_f,
    {{ known_rain }}round(rain_{{ length }}, 3) end as precipitation_{{ length }}d_mm,
    {{ known_rain }}round({{ inches('rain_' ~ length) }}, 4) end as precipitation_{{ length }}d_in,
    {{ enough }}round(hdd_{{ length }}, 2) end as hdd_{{ length }}d_f,
    {{ enough }}round(cdd_{{ length }}, 2) end as cdd_{{ length }}d_f
    {%- endfor %}
from rolled
