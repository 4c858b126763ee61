"""Settings: where they come from, who wins, and what is said when one is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog import rules
from falcon_catalog.catalog.bootstrap import prepare_store
from falcon_catalog.settings import SETTINGS, Settings, SettingsError, load, prepare
from falcon_catalog.settings.storage import MEANT_FOR

WRITTEN = {
    "server.listen": "[::1]:0",
    "server.reuse_port": True,
    "server.threads": 9,
    "server.shutdown_timeout": 1,
    "server.max_body_bytes": 4096,
    "server.max_header_bytes": 2048,
    "server.max_connections": 5,
    "server.allowed_hosts": ("lake.example", "catalog"),
    "server.insecure": True,
    "server.max_queue": 3,
    "server.max_wait": 6,
    "server.receive_timeout": 8,
    "server.header_timeout": 7,
    "server.stall_timeout": 11,
    "server.max_connections_per_address": 12,
    "server.channel_timeout": 7,
    "limits.json_depth": 100,
    "limits.json_values": 1001,
    "limits.table_changes": 2,
    "limits.updates": 3,
    "limits.requirements": 4,
    "limits.properties": 5,
    "limits.property_characters": 6,
    "limits.properties_bytes": 1024,
    "limits.namespace_properties": 12,
    "limits.namespace_tables": 13,
    "limits.columns": 7,
    "limits.schema_depth": 8,
    "limits.page_size": 9,
    "store.url": "sqlite:////tmp/other.db",
    "warehouse.location": "file:///tmp/other",
    "warehouse.name": "lake",
    "warehouse.allowed_locations": ("file:///a", "file:///b/c"),
    "warehouse.access": "client",
    "warehouse.vend_seconds": 900,
    "warehouse.credential": "env:LAKE",
    "warehouse.region": "eu-west-1",
    "warehouse.endpoint": "https://s3.example",
    "warehouse.server_endpoint": "http://store:9000",
    "warehouse.sts_endpoint": "https://sts.example",
    "warehouse.path_style": True,
    "warehouse.role_arn": "arn:aws:iam::123456789012:role/lake",
    "warehouse.external_id": "lake",
    "warehouse.kms_keys": ("arn:a", "arn:b"),
    "warehouse.service_account": "lake@project.example",
    "warehouse.project": "lake",
    "warehouse.tenant_id": "contoso",
    "warehouse.hierarchical": False,
    "warehouse.allow_aliases": True,
    "warehouse.ca_file": "/etc/ca.pem",
    "warehouse.timeout": 3,
    "warehouse.max_requests": 2,
    "warehouse.drop_retention": 3600,
    "warehouse.more": ("archive=file:///a", "b=file:///b"),
    "warehouse.allow_overlap": True,
    "store.durability": "relaxed",
    "store.password": "env:OTHER",
    "store.pool_size": 20,
    "store.connect_timeout": 3,
    "store.statement_timeout": 4,
    "store.lock_timeout": 5,
    "store.transaction_idle_timeout": 5,
    "store.sslmode": "verify-full",
    "store.sslrootcert": "/etc/ssl/other.pem",
    "store.search_path": "lake, public",
    "cache.documents_bytes": 0,
    "cache.manifests_bytes": 0,
    "planning.sync_manifests": 3,
    "planning.page_files": 10,
    "planning.keep_seconds": 60,
    "auth.required": True,
    "auth.token_lifetime": 60,
    "auth.session_lifetime": 600,
    "auth.secrets": False,
    "auth.admins": ("alice", "bob"),
    "auth.unix_users": ("1000=etl",),
    "auth.trusted_engines": ("trino",),
    "audit.keep_days": 7,
    "audit.keep_rows": 5000,
    "audit.keep_access_days": 400,
    "audit.keep_refusals": 50,
    "audit.vending": False,
    "audit.log": True,
    "cors.origins": ("https://a.example", "http://localhost:3000"),
    "web.enabled": False,
    "web.session_idle": 600,
    "web.session_lifetime": 7200,
    "web.sql": True,
    "metrics.keep_reports": 0,
    "metrics.public": True,
    "tracing.endpoint": "http://127.0.0.1:4318",
    "tracing.percent": 7,
    "log.level": "WARNING",
    "log.format": "json",
    "log.access": False,
}


LOCATIONS = {
    "s3": "s3://lake/x",
    "gs": "gs://lake/x",
    "abfss": "abfss://lake@account.dfs.core.windows.net/x",
}


def needed_for(key: str) -> dict[str, str]:
    """Return the settings of the warehouse without which a setting has no meaning."""
    kinds = MEANT_FOR.get(key.partition(".")[2], ()) if key.startswith("warehouse.") else ()
    if not kinds:
        return {}
    kind = next(kind for kind in LOCATIONS if kind in kinds)
    region = {"region": "us-east-1"} if kind == "s3" and key != "warehouse.region" else {}
    return {"location": LOCATIONS[kind], **region}


def as_text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@pytest.fixture
def config(tmp_path: Path) -> Any:
    """Return a function that writes a settings file."""

    def write(text: str) -> Path:
        path = tmp_path / "catalog.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def wrong(
    config: Path | None = None, environ: dict[str, str] | None = None, **flags: object
) -> str:
    """Return what is said of settings that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        load(config, environ or {}, {key.replace("__", "."): v for key, v in flags.items()})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_setting_is_tried_here() -> None:
    assert set(WRITTEN) == {setting.key for setting in SETTINGS}


def test_defaults_lie_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {}, {})
    assert settings.server.listen == "127.0.0.1:8181"
    assert settings.store.url == f"sqlite:///{tmp_path}/var/catalog/catalog.db"
    assert settings.warehouse.location == f"file://{tmp_path}/var/catalog/warehouse"
    assert set(settings.origins.values()) == {"default"}


def test_a_service_keeps_its_state_where_systemd_says() -> None:
    settings = load(None, {"STATE_DIRECTORY": "/var/lib/falcon-catalog:/var/lib/more"}, {})
    assert settings.store.url == "sqlite:////var/lib/falcon-catalog/catalog.db"
    assert settings.warehouse.location == "file:///var/lib/falcon-catalog/warehouse"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_flag_wins_over_environment_over_file_over_default(config: Any, setting: Any) -> None:
    key, value = setting.key, WRITTEN[setting.key]
    section, _, name = key.partition(".")
    literal = list(value) if isinstance(value, tuple) else value
    needed = needed_for(key)
    values = {**needed, name: literal}
    text = "".join(f"{each} = {json.dumps(one)}\n" for each, one in values.items())
    file = config(f"[{section}]\n{text}")
    in_file = load(file, {}, {})
    assert in_file.value(key) == value != load(None, {}, {}).value(key)
    assert in_file.origins[key] == str(file)
    given = {key, *(f"{section}.{each}" for each in needed)}
    assert {origin for one, origin in in_file.origins.items() if one not in given} == {"default"}

    other = "us-east-1" if name == "region" else load(None, {}, {}).value(key)
    in_environment = load(file, {setting.variable: as_text(other)}, {})
    assert in_environment.value(key) == other
    assert in_environment.origins[key] == f"environment {setting.variable}"

    in_flag = load(file, {setting.variable: as_text(other)}, {key: value})
    assert in_flag.value(key) == value
    assert in_flag.origins[key].startswith("flag ")
    assert load(file, {}, {key: None}).origins[key] == str(file)  # a flag not given


def test_a_relative_store_is_written_out_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}, {"store.url": "sqlite:///x.db"}).store.url == f"sqlite:///{tmp_path}/x.db"


def test_paths_and_a_port_are_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "store.url": "x.db",
        "warehouse.location": "some/folder/",
        "warehouse.more": "other=../there,third=/srv/lake",
        "server.listen": ":8181",
    }
    settings = load(None, {}, given)
    assert settings.store.url == f"sqlite:///{tmp_path}/x.db"
    assert settings.warehouse.location == f"file://{tmp_path}/some/folder"
    assert settings.warehouse.more == (
        f"other=file://{tmp_path.parent}/there",
        "third=file:///srv/lake",
    )
    assert settings.server.listen == "127.0.0.1:8181"
    assert load(None, {}, {"store.url": "/srv/x.db"}).store.path == Path("/srv/x.db")


def test_a_slash_at_the_end_of_a_location_does_not_count() -> None:
    settings = load(None, {"CATALOG_WAREHOUSE_ALLOWED_LOCATIONS": "file:///a/, file:///b"}, {})
    assert settings.warehouse.allowed_locations == ("file:///a", "file:///b")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("server.listen", v)
            for v in ("8181", "host", "host:", ":", "host:99999", "::1:80", "a b:1")
        ),
        *(("server.listen", v) for v in ("http://host:80", "unix:relative", "", 8181)),
        *(("server.threads", v) for v in (0, 257, 1.5, "four", True, "", "-1")),
        *(("server.max_body_bytes", v) for v in (0, "64M", 2**40)),
        *(("server.shutdown_timeout", v) for v in (-1, "30s")),
        *(
            ("store.url", v)
            for v in ("sqlite://x", "sqlite:x.db", "postgresql:h/d", "mysql://h/d", "sqlite:///")
        ),
        *(("store.search_path", v) for v in ("a;b", "A", 'a"b', "a b", ",", "a\x00")),
        ("store.sslmode", "maybe"),
        ("store.password", "swordfish"),
        *(
            ("store.url", v)
            for v in ("sqlite:///:memory:", ":memory:", "sqlite:///x.db?mode=ro", "x.db?a", "x/")
        ),
        *(
            ("warehouse.location", v)
            for v in ("/", "file:/plain", "file://relative", "s3a://bucket/x")
        ),
        *(("warehouse.location", v) for v in ("file:///a/../b", "file:///a//b", "file:///")),
        *(("warehouse.name", v) for v in ("", "  ", "a\nb", 5)),
        *(("warehouse.allowed_locations", v) for v in ("hdfs://x", ["file:///a", 3], 4, {"a": 1})),
        *(("auth.required", v) for v in ("yes", 1, 0, "")),
        *(("auth.token_lifetime", v) for v in (0, 2**32)),
        *(("log.level", v) for v in ("loud", "", 10)),
        *(("log.format", v) for v in ("yaml", "", 10, ["text"])),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_the_rule(key: str, value: object) -> None:
    message = wrong(None, {}, **{key.replace(".", "__"): value})
    assert key in message
    assert repr(value) in message
    assert message.startswith("flag ")
    assert ": it must be " in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[warehouse]\nlocation = 's3://b/x'\nregion = 'r'",
            "it is no location: Invalid location 's3://b/x': 'b' is not the name of a bucket",
        ),
        (
            (
                "[warehouse.a]\nlocation = 's3://lake/x'\nregion = 'r'\n"
                "[warehouse.b]\nlocation = 's3://lake/x/y'\nregion = 'r'"
            ),
            "the warehouses a (s3://lake/x) and b (s3://lake/x/y) overlap",
        ),
        (
            (
                "[warehouse.a]\nlocation = 's3://lake/x'\nregion = 'r'\n"
                "[warehouse.b]\nlocation = 's3://lake'\nregion = 'r'"
            ),
            "the warehouses a (s3://lake/x) and b (s3://lake) overlap",
        ),
        (
            (
                "[warehouse.a]\nlocation = 's3://lake/x'\nregion = 'r'\n"
                "allowed_locations = ['file:///srv']"
            ),
            "warehouse.a.allowed_locations: file:///srv is in another kind of storage",
        ),
        (
            "[warehouse]\npath_style = true",
            "warehouse.path_style: it has no meaning for file:///",
        ),
        (
            "[warehouse]\nmore = ['a=/srv']\n[warehouse.a]\nlocation = '/x'",
            "[warehouse.a]: there are two warehouses of this name",
        ),
        ("[warehouse.a]\nregion = 'r'", "[warehouse.a]: it needs a location"),
    ],
)
def test_warehouses_that_cannot_be_are_named(config: Any, text: str, said: str) -> None:
    assert said in wrong(config(text))


def test_warehouses_may_share_a_bucket_and_have_locations_of_their_own(config: Any) -> None:
    file = config(
        "[warehouse]\nlocation = 's3://lake/x'\nregion = 'r'\nmore = ['old=/srv']\n"
        "allowed_locations = ['s3://more/a']\n"
        "[warehouse.b]\nlocation = 's3://lake/x2'\nregion = 'r'\n"
        "allowed_locations = ['s3://more/b']\n"
    )
    warehouse = load(file, {}, {}).warehouse
    assert warehouse.storages["old"].allowed_locations == ()  # those are no folders
    assert warehouse.storages["b"].allowed_locations == ("s3://more/b",)
    assert warehouse.locations == (
        *("s3://lake/x", "file:///srv", "s3://lake/x2"),
        *("s3://more/a", "s3://more/b"),
    )


def test_a_wrong_value_names_the_file_or_the_variable(config: Any) -> None:
    file = config("[server]\nthreads = 'four'\n")
    rule = "server.threads = 'four': it must be a whole number from 1 to 256"
    assert wrong(file) == f"{file}: {rule}"
    assert wrong(environ={"CATALOG_SERVER_THREADS": "four"}) == (
        f"environment CATALOG_SERVER_THREADS: {rule}"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nlisten = ", "is not TOML"),
        ("[servers]\nlisten = 'a:1'", "unknown section [servers]"),
        ("listen = 'a:1'", "unknown section [listen]"),
        ("server = 'a:1'", "it must be a [server] table"),
        ("[server]\nlisen = 'a:1'", "server.lisen: no such setting, did you mean server.listen?"),
        ("[log]\nqqqqqqqqqqqqqq = 1", "no such setting, expected one of server.listen, "),
    ],
)
def test_a_file_with_something_unknown_stops_the_start(config: Any, text: str, said: str) -> None:
    file = config(text)
    message = wrong(file)
    assert message.startswith(f"{file}: ")
    assert said in message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert wrong(tmp_path / "none.toml").endswith("cannot be read: No such file or directory")
    assert wrong(tmp_path).endswith("cannot be read: Is a directory")
    (tmp_path / "latin.toml").write_bytes(b"[server]\n# \xe9\n")
    assert "is not TOML" in wrong(tmp_path / "latin.toml")


def test_a_misspelt_variable_stops_the_start_and_foreign_ones_do_not() -> None:
    assert wrong(environ={"CATALOG_SERVER_LISTN": "x"}) == (
        "environment CATALOG_SERVER_LISTN: no such setting, did you mean CATALOG_SERVER_LISTEN?"
    )
    foreign = {"CATALOG_URI": "u", "CATALOG_WAREHOUSE": "w", "CATALOG_TOKEN": "t", "CATALOG_": ""}
    assert load(None, foreign, {}) == load(None, {}, {})


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [("processes", 2, "catalog@{1..4}"), ("worker_timeout", 5, "WatchdogSec=")],
)
def test_a_removed_setting_names_what_replaces_it(
    config: Any, name: str, value: int, instead: str
) -> None:
    file, variable = config(f"[server]\n{name} = {value}\n"), f"CATALOG_SERVER_{name.upper()}"
    for message in (wrong(file), wrong(environ={variable: str(value)})):
        assert f": server.{name} was removed: " in message
        assert instead in message


def test_a_removed_flag_names_what_replaces_it(cli: Any) -> None:
    server = cli("serve", "--processes", "2")
    assert server.status() == 2
    (line,) = server.errors
    assert "server.processes was removed: run several servers instead" in line
    assert "serve --reuse-port" in line


def test_unknown_keys_given_as_flags_are_refused() -> None:
    assert "server.nothing: no such setting" in wrong(server__nothing=1)


def rooted(tmp_path: Path, store: str, warehouse: str) -> Settings:
    flags = {
        "store.url": f"sqlite:///{tmp_path / store}",
        "warehouse.location": f"file://{tmp_path / warehouse}",
    }
    return load(None, {}, flags)


def test_directories_are_made(tmp_path: Path) -> None:
    settings = rooted(tmp_path, "a/b/catalog.db", "c/d")
    prepare(settings)
    assert (tmp_path / "a/b").is_dir()
    assert not (tmp_path / "c").exists()  # it may be that of a file system that is not mounted
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    prepare_store(settings)
    assert (tmp_path / "c/d").is_dir()


@pytest.mark.parametrize(
    ("store", "warehouse", "key", "flag"),
    [
        ("file/catalog.db", "ok", "store.url", "--store"),
        ("ok/catalog.db", "file", "warehouse.location", "--warehouse"),
    ],
)
def test_a_directory_that_cannot_be_written_names_its_setting(
    tmp_path: Path, store: str, warehouse: str, key: str, flag: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError) as caught:  # noqa: PT012 - the first or the second
        prepare(rooted(tmp_path, store, warehouse))
        prepare_store(rooted(tmp_path, store, warehouse))
    assert str(caught.value).startswith(f"flag {flag}: {key} = ")
    assert f"{tmp_path / 'file'} cannot be written: " in str(caught.value)


def test_the_host_of_a_url_is_put_in_lower_case() -> None:
    assert rules.url_or_empty("https://S3.Example:9000/Store/") == "https://s3.example:9000/Store"
    assert rules.url_or_empty("http://store") == "http://store"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://catalog:swordfish@db/catalog",
        "postgres://catalog:sword%40fish@db:5433,other/catalog?sslmode=require",
        "postgresql://db/catalog?user=catalog&password=swordfish",
        "postgresql://db/catalog?sslpassword=swordfish",
    ],
)
def test_a_password_in_the_url_of_the_store_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"it must not contain a password") as raised:
        load(None, {"CATALOG_STORE_URL": url}, {})
    assert "fish" not in str(raised.value)
    assert "***" in str(raised.value)
