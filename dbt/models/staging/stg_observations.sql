-- A value that quality control rejected is null from here on; null is never zero.
select
    station_id,
    observed_at,
    {%- for value, flag in quantities() %}
    {{ trusted(value, flag) }},
    {%- endfor %}
    text_description,
    raw_message,
    present_weather,
    cloud_layers,
    {{ count_values() }} as values_reported,
    {{ count_values(['X', 'B']) }} as values_rejected,
    {{ count_values(['Q']) }} as values_questioned
from {{ source('weather', 'observations') }}
