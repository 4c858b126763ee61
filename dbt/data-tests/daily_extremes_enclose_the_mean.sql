-- Half a hundredth either way is rounding.
select station_day_id, temperature_min_c, temperature_mean_c, temperature_max_c
from {{ ref('fct_daily_station_weather') }}
where temperature_mean_c not between temperature_min_c - 0.01 and temperature_max_c + 0.01
