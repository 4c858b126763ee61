{# Degree days of an excess over a base, or below it: never less than none, null when unknown. #}
{% macro degree_days(excess) -%}
    case when middle_c is not null then round(greatest({{ excess }}, 0), 2)::double end
{%- endmacro %}
