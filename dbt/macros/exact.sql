{# Sums and means over decimals: of doubles they depend on the order of the rows, and a table
   would change from run to run by a rounding that falls the other way. #}
{% macro exact_sum(expression) -%}
    sum(try_cast({{ expression }} as decimal(18, 6)))::double
{%- endmacro %}

{% macro exact_mean(expression) -%}
    avg(try_cast({{ expression }} as decimal(18, 6)))
{%- endmacro %}
