{#
  The heat index, °F, of an air temperature in °F and a relative humidity in %; null below 80 °F.

  Source: National Weather Service, Weather Prediction Center, "The Heat Index Equation"
  (wpc.ncep.noaa.gov/html/heatindex_equation.shtml). Steadman's simple formula, averaged with the
  temperature, stays where it gives less than 80; else Rothfusz's regression of 1990 (NWS Technical
  Attachment SR 90-23) with its adjustments for dry and for damp air.
#}
{% macro heat_index_f(temperature_f, humidity) -%}
    {%- set t, r = '(' ~ temperature_f ~ ')', '(' ~ humidity ~ ')' -%}
    {%- set simple = '((' ~ t ~ ' + 0.5 * (' ~ t ~ ' + 61.0 + (' ~ t ~ ' - 68.0) * 1.2 + ' ~ r ~ ' * 0.094)) / 2)' -%}
    case
        when {{ t }} < 80 or {{ t }} is null or {{ r }} is null then null
        when {{ simple }} < 80 then {{ simple }}
        else
            -42.379 + 2.04901523 * {{ t }} + 10.14333127 * {{ r }}
            - 0.22475541 * {{ t }} * {{ r }}
            - 6.83783e-3 * {{ t }} * {{ t }} - 5.481717e-2 * {{ r }} * {{ r }}
            + 1.22874e-3 * {{ t }} * {{ t }} * {{ r }} + 8.5282e-4 * {{ t }} * {{ r }} * {{ r }}
            - 1.99e-6 * {{ t }} * {{ t }} * {{ r }} * {{ r }}
            - case
                when {{ r }} < 13 and {{ t }} <= 112
                    then (13 - {{ r }}) / 4 * sqrt((17 - abs({{ t }} - 95)) / 17)
                else 0
            end
            + case
                when {{ r }} > 85 and {{ t }} <= 87
                    then ({{ r }} - 85) / 10 * ((87 - {{ t }}) / 5)
                else 0
            end
    end
{%- endmacro %}
