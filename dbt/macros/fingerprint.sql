{# Fingerprint of a group of reports and of what else their rows are made of: equal while they are. #}
{% macro fingerprint(more) -%}
    to_hex(hash(
        count(*),
        bit_xor(hash(
            observed_at,
            {%- for value, _ in quantities() %}
            {{ value }},
            {%- endfor %}
            text_description, values_reported, values_rejected, values_questioned
        )),
        {{ more | join(', ') }}
    ))
{%- endmacro %}
