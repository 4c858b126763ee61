select
    station_id,
    name as station_name,
    state,
    time_zone,
    latitude,
    longitude,
    elevation_m,
    county,
    forecast_zone,
    fire_weather_zone,
    provider,
    sub_provider,
    valid_from,
    valid_to,
    is_current
from {{ source('weather', 'stations') }}
