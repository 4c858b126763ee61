{# US units. The factors are exact by definition, but for that of mercury (at 0 °C). #}
{% macro fahrenheit(celsius) -%}(({{ celsius }}) * 9 / 5 + 32){%- endmacro %}
{% macro celsius(fahrenheit) -%}((({{ fahrenheit }}) - 32) * 5 / 9){%- endmacro %}
{% macro mph(mps) -%}(({{ mps }}) / 0.44704::double){%- endmacro %}
{% macro miles(metres) -%}(({{ metres }}) / 1609.344::double){%- endmacro %}
{% macro feet(metres) -%}(({{ metres }}) / 0.3048::double){%- endmacro %}
{% macro inches(millimetres) -%}(({{ millimetres }}) / 25.4::double){%- endmacro %}
{% macro inches_of_mercury(pascal) -%}(({{ pascal }}) / 3386.389::double){%- endmacro %}
