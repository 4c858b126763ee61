{{ config(unique_key='alert_area_day_id') }}

with counting as (
    -- Exercises and tests are no weather, unless [weather] alert_statuses says so.
    select * from {{ ref('stg_alerts') }}
    where list_contains(
        string_split('{{ env_var("WEATHER_ALERT_STATUSES", "ACTUAL") }}', ','), upper(status)
    )
),

-- An alert that a later message updates or cancels ends with that message.
replaced as (
    select alert_id, min(sent) as replaced_at
    from (select unnest(replaced_alert_ids) as alert_id, sent from counting)
    group by alert_id
),

in_force as (
    select
        counting.*,
        counting.starts_at as active_from,
        -- Without an end of its own a day; never longer than 60, whatever it says.
        least(
            coalesce(counting.ends_at, counting.starts_at + interval 1 day),
            counting.starts_at + interval 60 day,
            replaced.replaced_at
        ) as active_to
    from counting
    left join replaced on replaced.alert_id = counting.alert_id
    where counting.message_type is distinct from 'Cancel'
),

areas as (
    select *, 'state' as area_kind, unnest(list_distinct(states)) as area from in_force
    where active_to > active_from
    union all
    select *, 'zone' as area_kind, unnest(list_distinct(zones)) as area from in_force
    where active_to > active_from
),

days as (
    select
        *,
        unnest(generate_series(
            active_from::date, (active_to - interval 1 microsecond)::date, interval 1 day
        ))::date as day_utc
    from areas
),

counted as (
    select
        area_kind,
        area,
        coalesce(event, 'unknown') as event,
        day_utc,
        count(distinct alert_id)::integer as alerts,
        max(list_position(['Unknown', 'Minor', 'Moderate', 'Severe', 'Extreme'], severity))
            as severity,
        min(active_from) as active_from,
        max(active_to) as active_to,
        len(list_distinct(flatten(list(range(
            case when active_from::date < day_utc then 0 else hour(active_from) end,
            case
                when (active_to - interval 1 microsecond)::date > day_utc then 24
                else hour(active_to - interval 1 microsecond) + 1
            end
        )))))::integer as active_hours,
        arg_max(headline, (sent, alert_id)) as headline
    from days
    group by area_kind, area, coalesce(event, 'unknown'), day_utc
)

select
    concat_ws('|', area_kind, area, event, strftime(day_utc, '%Y-%m-%d')) as alert_area_day_id,
    area_kind,
    area,
    event,
    day_utc,
    alerts,
    coalesce(['Unknown', 'Minor', 'Moderate', 'Severe', 'Extreme'][severity], 'Unknown')
        as severity,
    active_from,
    active_to,
    active_hours,
    headline,
    count(*) over (
        partition by area_kind, area, event, date_trunc('month', day_utc)
    )::integer as days_in_month
from counted
