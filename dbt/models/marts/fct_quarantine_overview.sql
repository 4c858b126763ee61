{{ config(unique_key='quarantine_overview_id') }}

select
    concat_ws('|', kind, strftime(quarantined_at::date, '%Y-%m-%d'), reason_class)
        as quarantine_overview_id,
    kind,
    reason_class,
    quarantined_at::date as day_utc,
    count(*) as records,
    min(quarantined_at) as first_at,
    max(quarantined_at) as last_at,
    -- The same one every time, whenever which was met.
    first(reason order by reason, raw) as example_reason,
    first(record_id order by reason, raw) as example_record_id,
    first(left(raw, 500) order by reason, raw) as example_raw
from {{ ref('stg_quarantine') }}
group by kind, reason_class, quarantined_at::date
