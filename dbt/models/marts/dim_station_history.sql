{{ config(unique_key='station_version_id') }}
{%- set described = [
    'station_name', 'state', 'time_zone', 'latitude', 'longitude', 'elevation_m', 'county',
    'forecast_zone', 'fire_weather_zone', 'provider', 'sub_provider',
] %}

with versions as (
    select
        *,
        row_number() over by_time as version,
        {%- for column in described %}
        lag({{ column }}) over by_time as {{ column }}_before{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('stg_station_history') }}
    window by_time as (partition by station_id order by valid_from)
)

select
    station_id || '|' || version as station_version_id,
    station_id,
    version::integer as version,
    valid_from,
    valid_to,
    is_current,
    case
        when version > 1 then concat_ws(
            ', ',
            {%- for column in described %}
            case when {{ column }} is distinct from {{ column }}_before then '{{ column }}' end
            {{- ',' if not loop.last }}
            {%- endfor %}
        )
    end as changed,
    case
        when version > 1 then round({{ distance_km(
            'latitude_before', 'longitude_before', 'latitude', 'longitude'
        ) }}, 3)
    end as moved_km,
    {{ described | join(',\n    ') }}
from versions
