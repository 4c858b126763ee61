{{ config(unique_key='record_id') }}
{#- Name, column, unit, US unit, the way there, the sign of what is extreme, and whether a day of
    few hours counts: the highest maximum is one whenever it was, the lowest maximum is not. #}
{%- set records = [
    ('highest_max', 'temperature_max_c', '°C', '°F', fahrenheit('value'), 1, true),
    ('lowest_max', 'temperature_max_c', '°C', '°F', fahrenheit('value'), -1, false),
    ('highest_min', 'temperature_min_c', '°C', '°F', fahrenheit('value'), 1, false),
    ('lowest_min', 'temperature_min_c', '°C', '°F', fahrenheit('value'), -1, true),
    ('wettest_day', 'precipitation_mm', 'mm', 'in', inches('value'), 1, true),
    ('strongest_gust', 'wind_gust_max_mps', 'm/s', 'mph', mph('value'), 1, true),
] %}

with candidates as (
    {%- for record, column, unit, unit_us, to_us, sign, any_day in records %}
    {{ 'union all' if not loop.first }}
    select
        station_id,
        local_date,
        '{{ record }}' as record,
        {{ column }} as value,
        {{ sign }} as sign
    from {{ ref('fct_daily_station_weather') }}
    where {{ column }} is not null
        {{- ' and is_representative' if not any_day }}
        {#- No rain is no record of it. #}
        {{- ' and precipitation_mm > 0' if record == 'wettest_day' }}
    {%- endfor %}
),

periods as (
    select *, unnest(['all', strftime(local_date, '%m')]) as period
    from candidates
),

extremes as (
    select
        station_id,
        period,
        record,
        max(sign * value) as extreme,
        count(*)::integer as days,
        count(distinct year(local_date))::integer as years
    from periods
    group by station_id, period, record
),

found as (
    select
        extremes.station_id,
        extremes.period,
        extremes.record,
        any_value(periods.value) as value,
        min(periods.local_date) as local_date,
        count(*)::integer as times_reached,
        any_value(extremes.days) as days,
        any_value(extremes.years) as years
    from extremes
    inner join periods
        on periods.station_id = extremes.station_id
        and periods.period = extremes.period
        and periods.record = extremes.record
        and periods.sign * periods.value = extremes.extreme
    group by extremes.station_id, extremes.period, extremes.record
)

select
    concat_ws('|', station_id, period, record) as record_id,
    station_id,
    period,
    record,
    value,
    case record
        {%- for record, _, unit, _, _, _, _ in records %}
        when '{{ record }}' then '{{ unit }}'
        {%- endfor %}
    end as unit,
    case record
        {%- for record, _, _, _, to_us, _, _ in records %}
        when '{{ record }}' then round({{ to_us }}, 2)
        {%- endfor %}
    end as value_us,
    case record
        {%- for record, _, _, unit_us, _, _, _ in records %}
        when '{{ record }}' then '{{ unit_us }}'
        {%- endfor %}
    end as unit_us,
    local_date,
    times_reached,
    days,
    years
from found
