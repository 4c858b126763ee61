{{ config(unique_key='station_id') }}

with coverage as (
    select
        station_id,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        count(*) as observations
    from {{ ref('stg_observations') }}
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
    stations.county,
    stations.forecast_zone,
    stations.fire_weather_zone,
    stations.provider,
    stations.sub_provider,
    coverage.first_observed_at,
    coverage.last_observed_at,
    coalesce(coverage.observations, 0)::bigint as observations
from {{ ref('stg_stations') }} as stations
left join coverage on coverage.station_id = stations.station_id
