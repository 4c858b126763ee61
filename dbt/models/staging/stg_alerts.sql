select
    alert_id,
    event,
    status,
    message_type,
    severity,
    headline,
    sent,
    coalesce(onset, effective, sent) as starts_at,
    coalesce(ends, expires) as ends_at,
    zones,
    states,
    "references" as replaced_alert_ids
from {{ source('weather', 'alerts') }}
