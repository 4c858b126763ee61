{{ config(unique_key='station_day_id') }}

-- A report from the future must not make years of days without any.
with newest as (
    select max(hour_utc) as hour from {{ ref('int_reports') }} where observed_at <= now()
),

spans as (
    select
        days.station_id,
        days.local_time_zone,
        min(days.day) as first_day,
        greatest(max(days.day), any_value(timezone(days.local_time_zone, newest.hour)::date))
            as last_day
    from {{ ref('int_local_days') }} as days
    cross join newest
    group by days.station_id, days.local_time_zone
),

calendar as (
    select
        station_id,
        local_time_zone,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as local_date
    from spans
),

-- Hours are numbered from 1970 on.
expected as (
    select
        calendar.station_id,
        calendar.local_date,
        epoch(timezone(local_time_zone, local_date::timestamp))::bigint // 3600 as first_hour,
        least(
            epoch(timezone(local_time_zone, local_date::timestamp + interval 1 day))::bigint // 3600
            - 1,
            epoch(newest.hour)::bigint // 3600
        ) as last_hour
    from calendar
    cross join newest
),

reported as (
    select distinct station_id, local_date, epoch(hour_utc)::bigint // 3600 as hour
    from {{ ref('int_reports') }}
),

hours as (
    select
        expected.station_id,
        expected.local_date,
        reported.hour,
        -- The hours missing before this one, in the same day.
        reported.hour - 1 - lag(reported.hour, 1, expected.first_hour - 1) over (
            partition by expected.station_id, expected.local_date
            order by reported.hour
        ) as missing_before
    from expected
    inner join reported
        on reported.station_id = expected.station_id
        and reported.local_date = expected.local_date
),

found as (
    select
        station_id,
        local_date,
        count(*) as hours,
        max(hour) as last_hour,
        count_if(missing_before > 0) as gaps,
        max(missing_before) as longest
    from hours
    group by station_id, local_date
),

days as (
    select
        expected.station_id,
        expected.local_date,
        expected.last_hour - expected.first_hour + 1 as hours_expected,
        coalesce(found.hours, 0) as hours_reported,
        coalesce(found.gaps, 0) as gaps,
        coalesce(found.longest, 0) as longest,
        expected.last_hour - coalesce(found.last_hour, expected.first_hour - 1) as missing_after
    from expected
    left join found
        on found.station_id = expected.station_id
        and found.local_date = expected.local_date
)

select
    days.station_id || '|' || strftime(days.local_date, '%Y-%m-%d') as station_day_id,
    days.station_id,
    days.local_date,
    days.hours_expected::integer as hours_expected,
    days.hours_reported::integer as hours_reported,
    least(100, round(100.0 * days.hours_reported / days.hours_expected, 1))::double
        as coverage_percent,
    coalesce(reports.observations, 0) as observations,
    (days.gaps + (days.missing_after > 0)::integer)::integer as gaps,
    greatest(days.longest, days.missing_after)::integer as longest_gap_hours,
    coalesce(reports.values_reported, 0) as values_reported,
    coalesce(reports.values_rejected, 0) as values_rejected,
    coalesce(reports.values_questioned, 0) as values_questioned
from days
left join {{ ref('int_local_days') }} as reports
    on reports.station_id = days.station_id and reports.day = days.local_date
where days.hours_expected > 0
