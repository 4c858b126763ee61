{{ config(unique_key='station_id') }}

with observed as (
    select
        station_id,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        count(*) as observations
    from {{ ref('int_reports') }}
    group by station_id
),

versions as (
    select station_id, count(*)::integer as versions
    from {{ ref('stg_station_history') }}
    group by station_id
)

select
    stations.station_id,
    stations.station_name,
    stations.state,
    stations.time_zone,
    stations.local_time_zone,
    stations.latitude,
    stations.longitude,
    stations.elevation_m,
    round({{ feet('stations.elevation_m') }}, 1) as elevation_ft,
    stations.county,
    stations.forecast_zone,
    stations.fire_weather_zone,
    stations.provider,
    stations.sub_provider,
    stations.valid_from as described_since,
    versions.versions,
    observed.first_observed_at,
    observed.last_observed_at,
    coalesce(observed.observations, 0)::bigint as observations
from {{ ref('stg_stations') }} as stations
inner join versions on versions.station_id = stations.station_id
left join observed on observed.station_id = stations.station_id
