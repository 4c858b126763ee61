{# The quantities the marts are made of, each with its quality-control flag. #}
{% macro quantities() %}
    {{ return([
        ('temperature_c', 'temperature_qc'),
        ('dewpoint_c', 'dewpoint_qc'),
        ('relative_humidity_percent', 'relative_humidity_qc'),
        ('wind_direction_deg', 'wind_direction_qc'),
        ('wind_speed_mps', 'wind_speed_qc'),
        ('wind_gust_mps', 'wind_gust_qc'),
        ('barometric_pressure_pa', 'barometric_pressure_qc'),
        ('sea_level_pressure_pa', 'sea_level_pressure_qc'),
        ('visibility_m', 'visibility_qc'),
        ('precipitation_last_hour_mm', 'precipitation_last_hour_qc'),
    ]) }}
{% endmacro %}

{# How many of a report's values have one of the flags; without flags, how many values there are. #}
{% macro count_values(flags=none) -%}
    (
        {%- for value, flag in quantities() %}
        {{ '+ ' if not loop.first }}({{ value }} is not null
            {%- if flags %} and coalesce({{ flag }} in ({{ "'" ~ flags | join("', '") ~ "'" }}), false){% endif %})::integer
        {%- endfor %}
    )
{%- endmacro %}
