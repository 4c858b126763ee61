{#
  The wind chill, °F, of an air temperature in °F and a wind speed in mph; null above 50 °F and
  where the wind is 3 mph or less.

  Source: National Weather Service, "Wind Chill Chart" of 1 November 2001
  (weather.gov/safety/cold-wind-chill-chart), the formula of the Joint Action Group for
  Temperature Indices.
#}
{% macro wind_chill_f(temperature_f, wind_mph) -%}
    case
        when {{ temperature_f }} <= 50 and {{ wind_mph }} > 3
            then 35.74 + 0.6215 * {{ temperature_f }}
                + (0.4275 * {{ temperature_f }} - 35.75) * pow({{ wind_mph }}, 0.16)
    end
{%- endmacro %}
