-- No observation may get lost between the reports and the two marts made of them.
with counts as (
    select
        (select count(*) from {{ ref('int_reports') }}) as reported,
        (select coalesce(sum(observations), 0) from {{ ref('fct_observations_hourly') }}) as by_hour,
        (select coalesce(sum(observations), 0) from {{ ref('fct_daily_station_weather') }}) as by_day
)

select reported, by_hour, by_day
from counts
where reported != by_hour or reported != by_day
