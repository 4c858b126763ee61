{#
  Keep an Iceberg table equal to a query: create it when it is absent, else delete the rows that
  are gone or different and insert the new ones, in one transaction. The table keeps its identity
  and history; a run that changes nothing commits nothing.

  DuckDB's Iceberg tables know neither CREATE OR REPLACE nor the rename of a table made in the
  same transaction, which is how dbt's own `table` materialisation works.

  `unique_key` names the key column. Another set of columns, or --full-refresh, drops the table
  and makes it anew.
#}
{% materialization iceberg_table, adapter="duckdb" %}
  {%- set key = adapter.quote(config.require('unique_key')) -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set existing = load_cached_relation(this) -%}
  {%- set fresh = adapter.quote(this.identifier ~ '__fresh') -%}
  {%- set stale = adapter.quote(this.identifier ~ '__stale') -%}

  {{ run_hooks(pre_hooks) }}

  {% call statement('fresh') -%}
    create or replace temp table {{ fresh }} as ({{ compiled_code }})
  {%- endcall %}

  {% if existing is not none %}
    {% set columns = iceberg_columns("select * from " ~ fresh) %}
    {% if should_full_refresh() or columns != iceberg_columns("select * from " ~ target_relation) %}
      {# The drop must be committed before the same name can be made again. #}
      {% call statement('drop') %}drop table {{ target_relation }}{% endcall %}
      {{ adapter.commit() }}
      {% set existing = none %}
    {% endif %}
  {% endif %}

  {% if existing is none %}
    {% call statement('main') -%}
      create table {{ target_relation }} as select * from {{ fresh }}
    {%- endcall %}
  {% else %}
    {% call statement('stale') -%}
      create or replace temp table {{ stale }} as
      select {{ key }} from (select * from {{ target_relation }} except select * from {{ fresh }})
    {%- endcall %}
    {% call statement('delta') -%}
      delete from {{ fresh }} where {{ key }} in (
        select {{ key }} from (select * from {{ fresh }} intersect select * from {{ target_relation }})
      )
    {%- endcall %}
    {% if iceberg_count(stale) %}
      {% call statement('delete') -%}
        delete from {{ target_relation }} where {{ key }} in (select {{ key }} from {{ stale }})
      {%- endcall %}
    {% endif %}
    {% if iceberg_count(fresh) %}
      {% call statement('main') -%}
        insert into {{ target_relation }} select * from {{ fresh }}
      {%- endcall %}
    {% else %}
      {% do store_result('main', 'unchanged') %}
    {% endif %}
  {% endif %}

  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% macro iceberg_columns(query) %}
  {% set found = [] %}
  {% for row in run_query("describe " ~ query) %}
    {% do found.append((row[0], row[1])) %}
  {% endfor %}
  {{ return(found) }}
{% endmacro %}

{% macro iceberg_count(relation) %}
  {{ return(run_query("select count(*) from " ~ relation)[0][0]) }}
{% endmacro %}
