{{ config(unique_key='station_day_id') }}
{%- set quantities = ['mean', 'max', 'min'] %}

with days as (
    select
        station_day_id,
        station_id,
        local_date,
        temperature_mean_c as mean_c,
        temperature_max_c as max_c,
        temperature_min_c as min_c,
        year(local_date) as year,
        -- The day of a leap year with that month and day, so that 1 March is 61 in every year.
        dayofyear(make_date(2000, month(local_date), day(local_date))) as day_of_year
    from {{ ref('fct_daily_station_weather') }}
    where is_representative
),

-- Every day counts for the 15 days of the year it is near to.
near as (
    select
        station_id,
        year,
        (day_of_year - 1 + unnest(range(-7, 8)) + 366) % 366 + 1 as day_of_year,
        mean_c::decimal(18, 6) as mean_c,
        max_c::decimal(18, 6) as max_c,
        min_c::decimal(18, 6) as min_c
    from days
),

normals as (
    select
        station_id,
        day_of_year,
        count(*)::integer as normal_days,
        count(distinct year)::integer as normal_years,
        -- Exact sums of squares: a deviation must not depend on the order of the rows.
        sum(mean_c * mean_c)::double as mean_squares,
        sum(mean_c)::double as mean_sum,
        {%- for quantity in quantities %}
        avg({{ quantity }}_c) as {{ quantity }}_normal_c{{ ',' if not loop.last }}
        {%- endfor %}
    from near
    group by station_id, day_of_year
),

known as (
    select
        days.*,
        normals.normal_days,
        normals.normal_years,
        {%- for quantity in quantities %}
        case when normals.normal_days >= {{ var('normal_days_needed') }}
            then normals.{{ quantity }}_normal_c end as {{ quantity }}_normal_c,
        {%- endfor %}
        case when normals.normal_days >= {{ var('normal_days_needed') }} then sqrt(greatest(0,
            (mean_squares - mean_sum * mean_sum / normal_days) / (normal_days - 1)
        )) end as mean_stddev_c
    from days
    inner join normals
        on normals.station_id = days.station_id
        and normals.day_of_year = days.day_of_year
)

select
    station_day_id,
    station_id,
    local_date,
    normal_days,
    normal_years,
    {%- for quantity in quantities %}
    {{ quantity }}_c as temperature_{{ quantity }}_c,
    round({{ quantity }}_normal_c, 2) as temperature_{{ quantity }}_normal_c,
    {%- if quantity == 'mean' %}
    round({{ fahrenheit('mean_normal_c') }}, 2) as temperature_mean_normal_f,
    round(mean_stddev_c, 2) as temperature_mean_stddev_c,
    {%- endif %}
    round({{ quantity }}_c - {{ quantity }}_normal_c, 2) as temperature_{{ quantity }}_anomaly_c,
    round(({{ quantity }}_c - {{ quantity }}_normal_c) * 9 / 5, 2)
        as temperature_{{ quantity }}_anomaly_f
    {%- if quantity == 'mean' %},
    -- Deviations below a hundredth are rounding.
    case when mean_stddev_c >= 0.01 then round((mean_c - mean_normal_c) / mean_stddev_c, 2) end
        as temperature_mean_z_score
    {%- endif %}{{ ',' if not loop.last }}
    {%- endfor %}
from known
