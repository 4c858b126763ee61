select
    kind,
    record_id,
    reason,
    -- Without the values it names: "out of range: temperature 468.1 …", "timestamp 'x' is not …".
    case
        when reason like 'out of range:%' then regexp_extract(reason, '^out of range: *[^ ]+')
        else regexp_replace(split_part(reason, ': ', 1), '''[^'']*''|"[^"]*"', '…', 'g')
    end as reason_class,
    raw,
    quarantined_at
from {{ source('weather', 'quarantine') }}
