{# The mean direction of the wind, 1 to 360 degrees, weighted by its speed: 350 and 10 make 360.
   Null when there is none: calm, or winds that cancel each other. #}
{% macro mean_direction(direction, speed) -%}
    {%- set east = exact_sum(speed ~ " * sin(radians(" ~ direction ~ "))") -%}
    {%- set north = exact_sum(speed ~ " * cos(radians(" ~ direction ~ "))") -%}
    case
        when abs({{ east }}) + abs({{ north }}) < 1e-6 then null
        else 360 - ((720 - round(degrees(atan2({{ east }}, {{ north }})))) % 360)
    end
{%- endmacro %}
