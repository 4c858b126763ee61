-- The chart "NOAA's National Weather Service Heat Index" (weather.gov/safety/heat-index), whole °F of
-- 80, 82, 84 … °F at a relative humidity. It was drawn without the later adjustment for damp air,
-- which is taken off here, and rounds two of its cells, 45 and 70 % at 90 °F, the other way.
with chart(humidity, published) as (
    values
        (40, [80, 81, 83, 85, 88, 91, 94, 97, 101, 105, 109, 114, 119, 124, 130, 136]),
        (45, [80, 82, 84, 87, 89, 93, 96, 100, 104, 109, 114, 119, 124, 130, 137]),
        (50, [81, 83, 85, 88, 91, 95, 99, 103, 108, 113, 118, 124, 131, 137]),
        (55, [81, 84, 86, 89, 93, 97, 101, 106, 112, 117, 124, 130, 137]),
        (60, [82, 84, 88, 91, 95, 100, 105, 110, 116, 123, 129, 137]),
        (65, [82, 85, 89, 93, 98, 103, 108, 114, 121, 128, 136]),
        (70, [83, 86, 90, 95, 100, 105, 112, 119, 126, 134]),
        (75, [84, 88, 92, 97, 103, 109, 116, 124, 132]),
        (80, [84, 89, 94, 100, 106, 113, 121, 129]),
        (85, [85, 90, 96, 102, 110, 117, 126, 135]),
        (90, [86, 91, 98, 105, 113, 122, 131]),
        (95, [86, 93, 100, 108, 117, 127]),
        (100, [87, 95, 103, 112, 121, 132])
),

cells as (
    select
        humidity,
        unnest(published) as published,
        80 + 2 * (generate_subscripts(published, 1) - 1) as temperature
    from chart
),

ours as (
    select
        *,
        {{ heat_index_f('temperature', 'humidity') }} as heat_index,
        case
            when humidity > 85 and temperature <= 87
                then (humidity - 85) / 10 * ((87 - temperature) / 5)
            else 0
        end as damp
    from cells
)

select temperature, humidity, published, heat_index
from ours
where abs(heat_index - damp - published)
    > case when temperature = 90 and humidity in (45, 70) then 1 else 0.5 end
    or heat_index is null
    or (select count(*) from ours) != 135
