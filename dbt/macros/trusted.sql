{# The value, or null where quality control rejected it (X) or a person judged it bad (B).
   Questioned values (Q) and unchecked ones (Z) stay. #}
{% macro trusted(column, flag) -%}
    case when {{ flag }} in ('X', 'B') then null else {{ column }} end as {{ column }}
{%- endmacro %}
