-- A value that quality control rejected is null from here on; null is never zero.
select
    station_id,
    observed_at,
    {{ trusted('temperature_c', 'temperature_qc') }},
    {{ trusted('dewpoint_c', 'dewpoint_qc') }},
    {{ trusted('relative_humidity_percent', 'relative_humidity_qc') }},
    {{ trusted('wind_direction_deg', 'wind_direction_qc') }},
    {{ trusted('wind_speed_mps', 'wind_speed_qc') }},
    {{ trusted('wind_gust_mps', 'wind_gust_qc') }},
    {{ trusted('barometric_pressure_pa', 'barometric_pressure_qc') }},
    {{ trusted('sea_level_pressure_pa', 'sea_level_pressure_qc') }},
    {{ trusted('visibility_m', 'visibility_qc') }},
    {{ trusted('precipitation_last_hour_mm', 'precipitation_last_hour_qc') }},
    text_description,
    raw_message,
    present_weather,
    cloud_layers
from {{ source('weather', 'observations') }}
