-- Every day of a station's own time zone that has a report.
select
    station_id,
    local_date as day,
    local_time_zone,
    count(*)::integer as observations,
    sum(values_reported)::integer as values_reported,
    sum(values_rejected)::integer as values_rejected,
    sum(values_questioned)::integer as values_questioned,
    {{ fingerprint(['local_time_zone']) }} as reports_fingerprint
from {{ ref('int_reports') }}
group by station_id, local_date, local_time_zone
