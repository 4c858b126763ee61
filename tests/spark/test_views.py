"""Views made, changed and dropped by Spark."""

from typing import Any

import pytest


def test_create_and_select(t: str, ns: str, sql: Any, lake: Any) -> None:
    sql(
        f"CREATE VIEW {ns}.v (number COMMENT 'the id', doubled) COMMENT 'doubles' "
        f"TBLPROPERTIES ('k' = 'v') AS SELECT id, id * 2 FROM {t}"
    )
    assert sql(f"SELECT * FROM {ns}.v ORDER BY number") == [(1, 2), (2, 4)]
    level = ns.removeprefix("lake.")
    assert sql(f"SHOW VIEWS IN {ns}") == [(level, "v", False)]
    assert [row[1] for row in sql(f"SHOW TABLES IN {ns}")] == ["t"]
    metadata = lake.get(f"namespaces/{level}/views/v")["metadata"]
    assert {"comment": "doubles", "k": "v"}.items() <= metadata["properties"].items()
    (representation,) = metadata["versions"][0]["representations"]
    assert representation["dialect"] == "spark"
    fields = [(f["name"], f.get("doc")) for f in metadata["schemas"][0]["fields"]]
    assert fields == [("number", "the id"), ("doubled", None)]


def test_a_view_follows_its_table(t: str, ns: str, sql: Any) -> None:
    sql(f"CREATE VIEW {ns}.v AS SELECT max(id) AS last FROM {t}")
    sql(f"INSERT INTO {t} VALUES (7, 'g')")
    assert sql(f"TABLE {ns}.v") == [(7,)]
    sql(f"DROP TABLE {t}")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        sql(f"TABLE {ns}.v")


def test_names_in_a_view_are_those_of_its_making(t: str, ns: str, sql: Any) -> None:
    sql(f"USE {ns}")
    try:
        sql("CREATE VIEW v AS SELECT id FROM t")
    finally:
        sql("USE spark_catalog.default")
    assert sql(f"SELECT * FROM {ns}.v ORDER BY id") == [(1,), (2,)]
    assert t == f"{ns}.t"


def test_replace(t: str, ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE VIEW {ns}.v AS SELECT id FROM {t}")
    path = f"namespaces/{ns.removeprefix('lake.')}/views/v"
    uuid = lake.get(path)["metadata"]["view-uuid"]
    with pytest.raises(Exception, match="already exists"):
        sql(f"CREATE VIEW {ns}.v AS SELECT data FROM {t}")
    sql(f"CREATE VIEW IF NOT EXISTS {ns}.v AS SELECT data FROM {t}")
    assert sql(f"SELECT * FROM {ns}.v ORDER BY 1") == [(1,), (2,)]
    sql(f"CREATE OR REPLACE VIEW {ns}.v AS SELECT data FROM {t}")
    assert sql(f"SELECT * FROM {ns}.v ORDER BY 1") == [("a",), ("b",)]
    metadata = lake.get(path)["metadata"]
    assert metadata["view-uuid"] == uuid
    assert [version["version-id"] for version in metadata["versions"]] == [1, 2]
    assert metadata["current-version-id"] == 2


def test_properties(t: str, ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE VIEW {ns}.v AS SELECT id FROM {t}")
    sql(f"ALTER VIEW {ns}.v SET TBLPROPERTIES ('k' = 'v', 'l' = 'w')")
    sql(f"ALTER VIEW {ns}.v UNSET TBLPROPERTIES ('k')")
    properties = lake.get(f"namespaces/{ns.removeprefix('lake.')}/views/v")["metadata"][
        "properties"
    ]
    assert properties["l"] == "w"
    assert "k" not in properties
    assert ("l", "w") in sql(f"SHOW TBLPROPERTIES {ns}.v")


def test_rename_and_drop(t: str, ns: str, sql: Any) -> None:
    sql(f"CREATE VIEW {ns}.v AS SELECT id FROM {t}")
    sql(f"ALTER VIEW {ns}.v RENAME TO {ns}.w")
    assert sql(f"SELECT * FROM {ns}.w ORDER BY id") == [(1,), (2,)]
    with pytest.raises(Exception, match="not empty"):
        sql(f"DROP NAMESPACE {ns}")
    sql(f"DROP VIEW {ns}.w")
    assert sql(f"SHOW VIEWS IN {ns}") == []
    sql(f"DROP VIEW IF EXISTS {ns}.w")


def test_tables_and_views_share_their_names(t: str, ns: str, sql: Any) -> None:
    sql(f"CREATE VIEW {ns}.v AS SELECT id FROM {t}")
    with pytest.raises(Exception, match=r"already exists|ALREADY_EXISTS"):
        sql(f"CREATE TABLE {ns}.v (id INT)")
    with pytest.raises(Exception, match=r"already exists|ALREADY_EXISTS|EXPECT_VIEW_NOT_TABLE"):
        sql(f"CREATE VIEW {t} AS SELECT 1 AS id")
