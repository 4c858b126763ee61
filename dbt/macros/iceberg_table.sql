{#
  Keep an Iceberg table equal to a query: create it when it is absent, else delete the rows that
  are gone or different and insert the new ones, in one transaction. The table keeps its identity
  and history; a run that changes nothing commits nothing.

  DuckDB's Iceberg tables know neither CREATE OR REPLACE nor the rename of a table made in the
  same transaction, which is how dbt's own `table` materialisation works.

  `unique_key` names the key column. Another set of columns, or --full-refresh, drops the table
  and makes it anew.

  `changes_in` makes it incremental: it names a model of one row per `station_id` and `day` with a
  `reports_fingerprint`, which the table has, too. The query is asked for the days whose fingerprint
  is another, which it finds in changed_days(), and only those days of the table are compared;
  `day` says how to tell a row's day. With WEATHER_REBUILD=true, for other
  models than those that made the table, these are all days.
#}
{% materialization iceberg_table, adapter="duckdb" %}
  {%- set key = adapter.quote(config.require('unique_key')) -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set existing = load_cached_relation(this) -%}
  {%- set fresh = adapter.quote(this.identifier ~ '__fresh') -%}
  {%- set stale = adapter.quote(this.identifier ~ '__stale') -%}
  {%- set partial = config.get('changes_in') is not none -%}

  {{ run_hooks(pre_hooks) }}

  {%- set anew = existing is none or should_full_refresh() or not iceberg_has_columns(existing) -%}
  {% if partial %}
    {{ iceberg_find_changed_days(target_relation, anew) }}
  {% endif %}

  {% call statement('fresh') -%}
    create or replace temp table {{ fresh }} as ({{ compiled_code }})
  {%- endcall %}
  {{ iceberg_check_contract(fresh) }}

  {% if anew %}
    {% if existing is not none %}
      {# The drop must be committed before the same name can be made again. #}
      {% call statement('drop') %}drop table {{ target_relation }}{% endcall %}
      {{ adapter.commit() }}
    {% endif %}
    {% call statement('create') -%}
      create table {{ target_relation }} as select * from {{ fresh }}
    {%- endcall %}
    {% do iceberg_tell(iceberg_count(fresh), 0) %}
  {% else %}
    {%- set held -%}
      select * from {{ target_relation }}
      {% if partial -%}
      where (station_id, {{ config.require('day') }}) in (select station_id, day from {{ changed_days() }})
      {%- endif %}
    {%- endset -%}
    {% call statement('stale') -%}
      create or replace temp table {{ stale }} as
      select {{ key }} from (({{ held }}) except select * from {{ fresh }})
    {%- endcall %}
    {% call statement('delta') -%}
      delete from {{ fresh }} where {{ key }} in (
        select {{ key }} from (select * from {{ fresh }} intersect ({{ held }}))
      )
    {%- endcall %}
    {% set gone, added = iceberg_count(stale), iceberg_count(fresh) %}
    {% if gone %}
      {% call statement('delete') -%}
        delete from {{ target_relation }} where {{ key }} in (select {{ key }} from {{ stale }})
      {%- endcall %}
    {% endif %}
    {% if added %}
      {% call statement('insert') -%}
        insert into {{ target_relation }} select * from {{ fresh }}
      {%- endcall %}
    {% endif %}
    {% do iceberg_tell(added, gone) %}
  {% endif %}

  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# The days an incremental model has to compute: the rows of `changes_in` whose fingerprint is
   another, and, with nulls, days of the table that it has no more. #}
{% macro changed_days() -%}
  {{ adapter.quote(this.identifier ~ '__changed') }}
{%- endmacro %}

{% macro iceberg_find_changed_days(target, anew) %}
  {% call statement('changed') -%}
    create or replace temp table {{ changed_days() }} as
    with now_there as (
      select * from {{ ref(config.get('changes_in')) }}
    )
    {% if anew %}
    select * from now_there
    {% else %}
    , held as (
      select distinct station_id, {{ config.require('day') }} as day, reports_fingerprint as fingerprint
      from {{ target }}
    )
    select coalesce(now_there.station_id, held.station_id) as station_id,
      coalesce(now_there.day, held.day) as day,
      now_there.* exclude (station_id, day)
    from now_there
    full join held on held.station_id = now_there.station_id and held.day = now_there.day
    {% if not env_var('WEATHER_REBUILD', '') -%}
    where held.fingerprint is distinct from now_there.reports_fingerprint
    {%- endif %}
    {% endif %}
  {%- endcall %}
{% endmacro %}

{# Hold the query against the columns and types that the model's yml promises. #}
{% macro iceberg_check_contract(relation) %}
  {% set found = iceberg_columns(relation) %}
  {% set promised = [] %}
  {% for column in model.columns.values() %}
    {% do promised.append((column.name, column.data_type | upper)) %}
  {% endfor %}
  {% if found != promised %}
    {% set wrong = [] %}
    {% for pair in found if pair not in promised %}{% do wrong.append('has ' ~ pair | join(' ')) %}{% endfor %}
    {% for pair in promised if pair not in found %}{% do wrong.append('promises ' ~ pair | join(' ')) %}{% endfor %}
    {% do exceptions.raise_compiler_error(
      'the columns are not those of the contract: the query '
      ~ (wrong | join(', ') or 'has them in another order')
    ) %}
  {% endif %}
{% endmacro %}

{# Whether a table has the columns of the contract, in any case of drift. #}
{% macro iceberg_has_columns(relation) %}
  {% set promised = [] %}
  {% for column in model.columns.values() %}
    {% do promised.append((column.name, column.data_type | upper)) %}
  {% endfor %}
  {{ return(iceberg_columns(relation) == promised) }}
{% endmacro %}

{# The model's result, as dbt shows and records it. #}
{% macro iceberg_tell(added, gone) %}
  {% set words = 'unchanged' if not added + gone else added ~ ' rows in, ' ~ gone ~ ' out' %}
  {% do store_raw_result('main', message=words, code='SUCCESS', rows_affected=added + gone) %}
{% endmacro %}

{% macro iceberg_columns(relation) %}
  {% set found = [] %}
  {% for row in run_query("describe select * from " ~ relation) %}
    {% do found.append((row[0], row[1])) %}
  {% endfor %}
  {{ return(found) }}
{% endmacro %}

{% macro iceberg_count(relation) %}
  {{ return(run_query("select count(*) from " ~ relation)[0][0]) }}
{% endmacro %}
