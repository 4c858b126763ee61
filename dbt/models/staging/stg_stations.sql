select
    station_id,
    station_name,
    state,
    time_zone,
    -- An unknown or missing zone must not stop every other station's days.
    case when time_zone in (select name from pg_timezone_names()) then time_zone else 'UTC' end
        as local_time_zone,
    latitude,
    longitude,
    elevation_m,
    county,
    forecast_zone,
    fire_weather_zone,
    provider,
    sub_provider,
    valid_from
from {{ ref('stg_station_history') }}
where is_current
