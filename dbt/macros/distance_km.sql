{# The great-circle distance of two places given in degrees, km: the haversine formula on a sphere
   of 6 371 km. #}
{% macro distance_km(latitude_1, longitude_1, latitude_2, longitude_2) -%}
    2 * 6371 * asin(least(1, sqrt(
        pow(sin(radians({{ latitude_2 }} - {{ latitude_1 }}) / 2), 2)
        + cos(radians({{ latitude_1 }})) * cos(radians({{ latitude_2 }}))
        * pow(sin(radians({{ longitude_2 }} - {{ longitude_1 }}) / 2), 2)
    )))
{%- endmacro %}
