"""falcon-catalog install and uninstall, into a folder; tests/boot has them on a running system."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from falcon_catalog.installation.contents import Wish, contents
from falcon_catalog.installation.files import RECORD, Tree
from falcon_catalog.installation.host import Host, HostError
from falcon_catalog.installation.install import data, install, installed, problems, uninstall
from falcon_catalog.installation.program import Program, hidden
from falcon_catalog.settings import SettingsError

REPOSITORY = Path(__file__).parents[2]
UNITS = "/etc/systemd/system"
PREFIX = "/srv/catalog/venv"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemctl") is None or shutil.which("systemd-sysusers") is None,
    reason="systemctl or systemd-sysusers is not installed (Debian package systemd)",
)
Do = Callable[..., list[str]]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "etc").mkdir()
    return Tree(tmp_path)


@pytest.fixture
def program() -> Program:
    """Return the running program as if it were installed for a service."""
    return replace(Program.running(), prefix=Path(PREFIX))


@pytest.fixture
def do(tree: Tree, program: Program) -> Do:
    """Return a function that installs, and returns what it reports."""

    def run(*, again: bool = False, **wishes: object) -> list[str]:
        said: list[str] = []

        def report(what: str, to: str) -> None:
            said.append(f"{what} {to.replace(str(tree.root), '')}")

        wanted = contents(program, tree, Wish(**wishes))
        changes = tree.compare(wanted.files, replace=again)
        install(tree, Host(tree.root, report), changes, wanted, report)
        return said

    return run


def read(tree: Tree, name: str) -> str:
    return tree.path(name).read_text(encoding="utf-8")


@needs_systemd
def test_everything_is_there_and_enabled(tree: Tree, do: Do) -> None:
    do(pipeline=True)
    for folder in (
        "multi-user.target.wants/catalog.service",
        "sockets.target.wants/catalog.socket",
    ):
        assert tree.path(f"{UNITS}/{folder}").is_symlink()
    timers = {each.name for each in tree.path(f"{UNITS}/timers.target.wants").iterdir()}
    assert timers == {each.name for each in (REPOSITORY / "systemd").glob("*.timer")}
    assert "\niceberg:" in "\n" + read(tree, "/etc/passwd")
    for name in ("/etc/falcon-catalog/weather.env", "/etc/falcon-catalog/credentials"):
        assert stat.S_IMODE(tree.path(name).stat().st_mode) & 0o077 == 0
    command = tree.path("/usr/local/sbin/falcon-catalog")
    assert os.access(command, os.X_OK)
    assert f"exec {PREFIX}/bin/falcon-catalog" in command.read_text("utf-8")


@needs_systemd
def test_units_name_this_installation_and_no_other(tree: Tree, do: Do) -> None:
    do(pipeline=True)
    shipped = {
        str(each.relative_to(REPOSITORY / "systemd"))
        for each in (REPOSITORY / "systemd").rglob("*.*")
        if each.is_file() and each.suffix in {".service", ".socket", ".timer", ".conf"}
    }
    units = tree.path(UNITS)
    there = {str(each.relative_to(units)) for each in units.rglob("*.*") if not each.is_symlink()}
    assert {each for each in shipped if "sysusers" not in each} <= there
    for each in units.rglob("*"):
        if each.is_file() and not each.is_symlink():
            text = each.read_text(encoding="utf-8")
            assert "/opt/falcon-catalog" not in re.sub(r"(?m)^#.*", "", text), each
            for started in re.findall(r"(?m)^ExecStart=(\S+)", text):
                assert started in {f"{PREFIX}/bin/falcon-catalog", f"{PREFIX}/bin/python"}
    common = read(tree, f"{UNITS}/weather-.service.d/common.conf")
    assert f"WEATHER_DBT_DIR={REPOSITORY}/dbt" in common


@needs_systemd
def test_a_second_run_changes_nothing(tree: Tree, do: Do) -> None:
    do(pipeline=True, port=9181)
    before = {each: each.read_bytes() for each in tree.root.rglob("*") if each.is_file()}
    assert do() == []
    assert do(pipeline=True) == []
    assert {each: each.read_bytes() for each in tree.root.rglob("*") if each.is_file()} == before


@needs_systemd
def test_settings_are_never_overwritten(tree: Tree, do: Do) -> None:
    do()
    settings = tree.path("/etc/falcon-catalog/catalog.toml")
    settings.write_text('[log]\nlevel = "DEBUG"\n', encoding="utf-8")
    assert do(again=True) == []
    assert settings.read_text("utf-8") == '[log]\nlevel = "DEBUG"\n'


@needs_systemd
def test_units_are_brought_up_to_date_unless_they_were_edited(
    tree: Tree, do: Do, program: Program
) -> None:
    do()
    unit = tree.path(f"{UNITS}/catalog.service")
    edited = tree.path(f"{UNITS}/catalog.socket")
    edited.write_text(edited.read_text("utf-8") + "# mine\n", encoding="utf-8")
    moved = replace(program, prefix=Path("/srv/newer/venv"))
    wanted = contents(moved, tree, Wish())
    changes = {each.file.path: each for each in tree.compare(wanted.files)}
    assert changes[f"{UNITS}/catalog.service"].action == "update"
    assert "+ExecStart=/srv/newer/venv/bin/" in changes[f"{UNITS}/catalog.service"].diff()
    assert changes[f"{UNITS}/catalog.socket"].action == "edited"
    assert "/srv/newer" not in unit.read_text("utf-8")  # compared, not written

    do()  # an edited unit is known to be edited afterwards, too
    assert edited.read_text("utf-8").endswith("# mine\n")
    assert do(again=True) == [f"replace {UNITS}/catalog.socket"]
    assert "# mine" not in edited.read_text("utf-8")
    assert "# mine" in edited.with_name("catalog.socket.old").read_text("utf-8")
    assert do() == []


@needs_systemd
def test_what_a_version_no_longer_has_is_removed(tree: Tree, do: Do) -> None:
    do()
    tree.path(f"{UNITS}/catalog@.service").rename(tree.path(f"{UNITS}/older@.service"))
    record = tree.path(RECORD)
    text = record.read_text("utf-8").replace("catalog@.service", "older@.service")
    record.write_text(text, encoding="utf-8")
    assert f"remove {UNITS}/older@.service" in do()
    assert not tree.path(f"{UNITS}/older@.service").exists()


@needs_systemd
def test_another_port_is_kept_and_known_to_the_pipeline(tree: Tree, do: Do) -> None:
    do(port=9181)
    do(pipeline=True)
    drop_in = read(tree, f"{UNITS}/catalog.socket.d/port.conf")
    assert drop_in == "[Socket]\nListenStream=\nListenStream=127.0.0.1:9181\n"
    assert "uri = http://127.0.0.1:9181" in read(tree, "/etc/falcon-catalog/luigi.cfg")


@needs_systemd
def test_credentials_that_the_settings_name_are_loaded_by_systemd(
    tree: Tree, do: Do, program: Program
) -> None:
    settings = tree.path("/etc/falcon-catalog/catalog.toml")
    settings.parent.mkdir()
    settings.write_text(
        "[auth]\nrequired = true\n"
        '[warehouse]\nlocation = "gs://lake/w"\ncredential = "systemd:gcs"\n',
        encoding="utf-8",
    )
    found = list(
        problems(program, tree, Host(tree.root, print), contents(program, tree, Wish()), Wish())
    )
    assert any('"systemd:gcs": put that credential into /etc/falcon-' in each for each in found)
    do(pipeline=True)
    line = "LoadCredential=gcs:/etc/falcon-catalog/credentials/gcs\n"
    for unit in ("catalog.service.d", "catalog@.service.d"):
        assert read(tree, f"{UNITS}/{unit}/credentials.conf") == f"[Service]\n{line}"
    weather = read(tree, f"{UNITS}/weather-.service.d/credential.conf")
    assert weather == "[Service]\nLoadCredential=catalog:/etc/falcon-catalog/credentials/weather\n"


ELSEWHERE = """
[store]
url = "sqlite:////srv/100%/catalog.db"
[warehouse]
location = "file:///srv/my lake"
allowed_locations = ["file:///mnt/old"]
more = ["inside=file:///var/lib/falcon-catalog/more"]
"""


def give_settings(tree: Tree, text: str) -> None:
    settings = tree.path("/etc/falcon-catalog/catalog.toml")
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(text, encoding="utf-8")


@needs_systemd
@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to the user iceberg: needs root")
def test_units_may_write_where_the_settings_say(tree: Tree, do: Do) -> None:
    give_settings(tree, ELSEWHERE)
    said = do(pipeline=True)
    tables = 'ReadWritePaths="/srv/my lake"\nReadWritePaths=/mnt/old\n'
    for unit in ("catalog.service.d", "catalog@.service.d"):
        drop_in = read(tree, f"{UNITS}/{unit}/storage.conf")
        assert drop_in == f"[Service]\nReadWritePaths=/srv/100%%\n{tables}"
    weather = read(tree, f"{UNITS}/weather-.service.d/storage.conf")
    assert weather == f"[Service]\n{tables}InaccessiblePaths=-/srv/100%%/catalog.db\n"
    (user,) = re.findall(r"(?m)^iceberg:[^:]*:(\d+):", read(tree, "/etc/passwd"))
    for folder in ("/srv/100%", "/srv/my lake", "/mnt/old"):
        found = tree.path(folder).stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (int(user), 0o750)
        assert f"create {folder}/ (of the user iceberg)" in said
    assert not tree.path("/var/lib/falcon-catalog/more").exists()  # the server makes it
    assert do() == []

    # Back to the state folder.
    give_settings(tree, (REPOSITORY / "systemd/catalog.toml").read_text("utf-8"))
    assert f"remove {UNITS}/catalog.service.d/storage.conf" in do()
    assert not tree.path(f"{UNITS}/weather-.service.d/storage.conf").exists()


@pytest.mark.parametrize(
    "settings",
    [
        '[warehouse]\nlocation = "s3://lake/w"\nregion = "eu-central-1"\n',
        '[store]\nurl = "postgresql://catalog@db/catalog"\n',
        '[tracing]\nendpoint = "http://collector:4318"\n',
    ],
)
def test_units_reach_other_machines_if_the_settings_do(
    tree: Tree, program: Program, settings: str
) -> None:
    where = '[warehouse]\nlocation = "file:///var/lib/falcon-catalog/warehouse"\n'
    store = '[store]\nurl = "sqlite:////var/lib/falcon-catalog/catalog.db"\n'
    rest = "".join(each for each in (where, store) if each.split()[0] not in settings)
    give_settings(tree, settings + rest)
    drop_ins = [each for each in contents(program, tree, Wish()).files if "storage" in each.path]
    assert [each.content for each in drop_ins] == ["[Service]\nIPAddressAllow=any\n"] * 2
    give_settings(tree, where + store)
    assert not any("storage" in each.path for each in contents(program, tree, Wish()).files)


def test_a_store_that_services_cannot_see_is_refused(tree: Tree, program: Program) -> None:
    give_settings(tree, '[warehouse]\nlocation = "file:///home/me/lake"\n')
    wanted = contents(program, tree, Wish())
    found = list(problems(program, tree, Host(tree.root, print), wanted, Wish()))
    said = "/home/me/lake, which the settings name, is in /home, which ProtectHome= hides from"
    assert any(each.startswith(said) for each in found), found


def test_a_dry_run_shows_the_folders(tree: Tree) -> None:
    give_settings(tree, ELSEWHERE)
    result = run("install", "--dry-run", "--root", str(tree.root))
    assert '+ReadWritePaths="/srv/my lake"' in result.stdout
    assert f"create   {tree.root}/srv/my lake/\n" in result.stdout
    assert not tree.path("/srv").exists()


def test_auth_writes_new_settings_and_refuses_old_ones(tree: Tree, program: Program) -> None:
    wish = Wish(auth=True)
    wanted = contents(program, tree, wish)
    assert wanted.settings.auth.required
    assert wanted.principals == ("admin",)
    (text,) = (each.content for each in wanted.files if each.is_settings)
    assert text.endswith("[auth]\nrequired = true\n")
    settings = tree.path("/etc/falcon-catalog/catalog.toml")
    settings.parent.mkdir()
    settings.write_text("", encoding="utf-8")
    found = problems(program, tree, Host(tree.root, print), contents(program, tree, wish), wish)
    assert any("set auth.required = true in it instead of --auth" in each for each in found)


def test_invalid_settings_stop_it(tree: Tree, program: Program) -> None:
    settings = tree.path("/etc/falcon-catalog/catalog.toml")
    settings.parent.mkdir()
    settings.write_text("[log]\nlevel = 'LOUD'\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="LOUD"):
        contents(program, tree, Wish())


def test_a_unit_of_another_program_is_not_touched(tree: Tree, program: Program) -> None:
    unit = tree.path(f"{UNITS}/catalog.service")
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/books\n", encoding="utf-8")
    wanted = contents(program, tree, Wish())
    found = problems(program, tree, Host(tree.root, print), wanted, Wish())
    assert any("belongs to another program" in each for each in found)
    (kept,) = (each for each in tree.compare(wanted.files) if each.file.path.endswith("g.service"))
    assert kept.action == "edited"


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/root/venv", "ProtectHome="),
        ("/home/x/venv", "ProtectHome="),
        ("/tmp/venv", "PrivateTmp="),
        ("/usr/bin", None),
    ],
)
def test_a_folder_that_services_cannot_see_is_known(folder: str, why: str | None) -> None:
    found = hidden(Path(folder))
    assert found is None if why is None else why in str(found)


def test_an_environment_that_services_cannot_see_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as prefix:  # wherever pytest's folders are
        (Path(prefix) / "bin").mkdir()
        for name in ("falcon-catalog", "python"):
            (Path(prefix) / "bin" / name).symlink_to("/bin/true")
        (found,) = replace(Program.running(), prefix=Path(prefix)).problems(pipeline=False)
    assert f"the virtual environment {prefix} is in /tmp" in found
    assert "python3 -m venv /opt/falcon-catalog/venv" in found


def test_without_an_environment_nothing_is_installed(tmp_path: Path) -> None:
    (found,) = replace(Program.running(), prefix=tmp_path).problems(pipeline=False)
    assert f"there is no program {tmp_path}/bin/falcon-catalog" in found


def test_an_environment_whose_path_needs_quoting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a b/bin").mkdir(parents=True)
    for name in ("falcon-catalog", "python"):
        (tmp_path / "a b/bin" / name).symlink_to("/bin/true")
    found = list(replace(Program.running(), prefix=tmp_path / "a b").problems(pipeline=False))
    assert any("need quoting" in each for each in found)


@needs_systemd
def test_uninstall_keeps_settings_and_data(tree: Tree, do: Do) -> None:
    do(pipeline=True, port=9181)
    store = tree.path("/var/lib/falcon-catalog/catalog.db")
    store.parent.mkdir(parents=True)
    store.write_text("rows", encoding="utf-8")
    names = installed(tree)
    uninstall(tree, Host(tree.root, lambda *_: None), lambda *_: None, purge=False)
    assert not any(tree.path(name).exists() for name in names)
    assert [each for each in tree.path(UNITS).rglob("*") if not each.is_dir()] == []
    assert tree.path("/etc/falcon-catalog/catalog.toml").exists()
    assert store.exists()
    assert installed(tree) == []

    do()
    uninstall(tree, Host(tree.root, lambda *_: None), lambda *_: None, purge=True)
    assert data(tree) == []
    assert not store.exists()


@needs_systemd
def test_a_refusal_of_systemd_is_reported(tree: Tree) -> None:
    with pytest.raises(HostError, match=r"nothing\.service"):
        Host(tree.root, print).enable("nothing.service")


def test_a_damaged_record_is_reported(tree: Tree) -> None:
    tree.write(RECORD, "{", 0o644)
    with pytest.raises(ValueError, match="is damaged"):
        tree.compare([])


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "falcon_catalog", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_dry_run_shows_the_files_and_writes_none(tree: Tree) -> None:
    result = run("install", "--dry-run", "--root", str(tree.root))
    assert f"create   {tree.root}/etc/systemd/system/catalog.service" in result.stdout
    assert "+ListenStream=127.0.0.1:8181" in result.stdout
    assert list(tree.root.iterdir()) == [tree.root / "etc"]


def test_uninstall_asks_or_needs_yes_and_knows_what_is_not_there(tree: Tree) -> None:
    result = run("uninstall", "--root", str(tree.root))
    assert result.returncode == 2
    assert "nothing to uninstall" in result.stderr
