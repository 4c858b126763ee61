"""The documentation says all that there is, and nothing that is not."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from falcon_catalog import __version__
from falcon_catalog.api.routes import MANAGEMENT_ROUTES
from falcon_catalog.catalog.privileges import ALLOWS, BITS
from falcon_catalog.catalog.storage_check.results import CHECKS as STORAGE_CHECKS
from falcon_catalog.cli import main
from falcon_catalog.doctor.findings import CHECKS
from falcon_catalog.doctor.repairs import EXPLAINED
from falcon_catalog.engines import ENGINES, Address
from falcon_catalog.metrics import Metrics
from falcon_catalog.settings import SETTINGS, Setting, load
from falcon_catalog.settings.sections import ISSUER_SETTINGS

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")],
    key=lambda page: page.relative_to(REPOSITORY),
)


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that does something, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = list(commands(main, "falcon-catalog"))


def row(setting: Setting) -> str:
    """Return a setting's line in the table of settings."""
    default = f"`{setting.default}`" if setting.default else "none"
    flag = f"`{setting.flag}`" if setting.flag else ""
    default = default.replace("{state}", "STATE")
    return f"| `{setting.key}` | `{setting.variable}` | {flag} | {default} | {setting.help} |"


def test_the_table_of_settings_is_complete_and_true() -> None:
    written = [line for line in read("docs/settings.md").splitlines() if line.startswith("| `")]
    assert written == [row(setting) for setting in SETTINGS]


def test_the_table_of_identity_providers_is_complete_and_true() -> None:
    told = re.findall(r"(?m)^\| `(\w+)` \| (.*) \| (.*) \|$", read("docs/authentication.md"))
    there = []
    for setting in ISSUER_SETTINGS:
        default = f"`{setting.default}`" if setting.default else "none"
        is_required = setting.default == "(required)"
        name = setting.key.rpartition(".")[2]
        there.append((name, "required" if is_required else default, setting.help))
    assert [row for row in told if row[0] in {name for name, _, _ in there}] == there


def test_the_settings_file_shows_every_setting_with_its_default(tmp_path: Path) -> None:
    text = read("conf/catalog.toml")
    assert load(REPOSITORY / "conf/catalog.toml", {}, {}) == load(None, {}, {})
    shown = tmp_path / "shown.toml"
    shown.write_text(re.sub(r"(?m)^# (?=\w+ = )", "", text), encoding="utf-8")
    values = tomllib.loads(shown.read_text(encoding="utf-8"))
    keys = [f"{section}.{name}" for section, of in values.items() for name in of]
    assert sorted(keys) == sorted(setting.key for setting in SETTINGS)
    installed = load(None, {"STATE_DIRECTORY": "/var/lib/falcon-catalog"}, {})
    assert load(shown, {}, {}) == installed
    for setting in SETTINGS:
        first = setting.help.partition("; ")[0].rstrip(".").partition(". ")[0]
        assert first in text.replace("\n# ", " "), f"{setting.key} is not explained"


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_documented(name: str, command: click.Command) -> None:
    page = read("docs/commands.md")
    assert f"\n## {name}\n" in page
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for flag in parameter.opts:
                assert f"`{flag}`" in page


def test_no_command_is_documented_that_is_not_there() -> None:
    told = set(re.findall(r"(?m)^## (falcon-catalog .*)$", read("docs/commands.md")))
    assert told == {name for name, _ in COMMANDS}


def test_flags_that_the_pages_use_exist() -> None:
    known = {
        flag for _, command in COMMANDS for parameter in command.params for flag in parameter.opts
    }
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(
            r"(?m)falcon-catalog (?:serve|migrate|config show|principals|backup|restore|doctor)\b"
            r"[^`\n]*",
            text,
        ):
            assert set(re.findall(r"(?<=\s)--[a-z-]+", line)) <= known, f"{page}: {line}"


def test_what_the_doctor_finds_and_repairs_is_documented() -> None:
    page = read("docs/doctor.md")
    told = re.findall(r"(?m)^\| `([a-z-]+)` \| (error|warning|note) \| (.+) \|$", page)
    assert told == [(name, check.severity, check.why) for name, check in CHECKS.items()]
    repairs = re.findall(r"(?m)^\| `([^`]+)` \| ([^|]+) \|$", page)
    assert dict(repairs) == EXPLAINED


def test_what_the_storage_check_proves_is_documented() -> None:
    told = re.findall(r"(?m)^\| `([a-z-]+)` \| (.+) \|$", read("docs/storage.md"))
    assert [each for each in told if each[0] in STORAGE_CHECKS] == list(STORAGE_CHECKS.items())


SAMPLES = sorted((REPOSITORY / "conf").glob("warehouse-*.toml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_the_samples_of_warehouses_are_valid_and_their_pages_agree(sample: Path) -> None:
    assert load(sample, {}, {}).warehouse.kind != "file"
    written = tomllib.loads(sample.read_text(encoding="utf-8"))["warehouse"]
    page = REPOSITORY / "docs/storage" / f"{sample.stem.removeprefix('warehouse-')}.md"
    shown = tomllib.loads(page.read_text("utf-8").split("```toml\n")[1].split("```")[0])
    named = {"location", "role_arn", "external_id", "path_style", "access"}
    for name, value in shown["warehouse"].items():
        assert name in written
        if name in named:
            assert value == written[name]


def test_pages_and_documentation_say_the_same_of_each_privilege() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \|", read("docs/permissions.md"))
    assert {name: allows for name, allows in rows if name in ALLOWS} == ALLOWS
    assert set(ALLOWS) == set(BITS)


def test_the_management_api_is_documented() -> None:
    told = re.findall(r"(?m)^\| `([A-Z]+ /management/\S+)` \|", read("docs/management.md"))
    there = [f"{verb} {path}" for path, (_, verbs) in MANAGEMENT_ROUTES.items() for verb in verbs]
    assert told == there


def test_every_metric_is_documented() -> None:
    told = re.findall(
        r"(?m)^\| `((?:falcon_catalog|process)_\w+)` \| (\w+) \| (.*) \| (.*) \|$",
        read("docs/metrics.md"),
    )
    metrics = Metrics()
    metrics.answered("updateTable", 200, 0.1, 1)
    metrics.answered("updateTable", 409, 0.1, 1)
    for each in (metrics.warehouse_free_bytes, metrics.drops):
        each.follow(lambda: [(("default",), 1)])
    metrics.store_failures.follow(lambda: [(("lake", "timeout"), 1)])
    metrics.orphans.follow(lambda: [(("lake",), 1)])
    for each in (metrics.credential_hits, metrics.credentials_issued, metrics.credential_failures):
        each.follow(lambda: [(("lake",), 1)])
    for each in (metrics.oldest_drop, metrics.troubled_purges):
        each.follow(lambda: [(("default",), 1)])
    there = []
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label: None for one in family.samples for label in one.labels if label != "le"}
        named = ", ".join(f"`{label}`" for label in labels)
        there.append((name, family.type, named, family.documentation))
    assert told == there


def test_the_pipelines_settings_are_documented() -> None:
    page, section, names = read("docs/pipeline.md"), "", []
    for line in read("conf/luigi.cfg").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif (named := re.match(r"(?:# )?(\w+) =", line)) and section in {"weather", "catalog"}:
            names.append((section, named[1]))
    assert len(names) > 10
    for section, name in names:
        assert f"| `[{section}] {name}` |" in page


def test_the_readmes_commands_are_targets() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):.*## ", read("Makefile")))
    assert {"demo", "test", "clean", "constraints", "help"} <= targets
    for page in PAGES:
        used = set(re.findall(r"\bmake (demo|test|clean|[a-z]+(?=`))", page.read_text("utf-8")))
        assert used <= targets, page


def test_nothing_is_installed_from_where_it_is_not_published() -> None:
    """The name is free on the package index: whoever takes it would be installed instead."""
    sources = [
        file for name in ("falcon_catalog", "jobs") for file in (REPOSITORY / name).rglob("*.py")
    ]
    for file in [*PAGES, *sources, REPOSITORY / "examples/README.md"]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"pip install [^\n`]*falcon-catalog\b(?!/)", text), file
        assert not re.search(r"uvx falcon-catalog|uv tool install falcon|pipx \w+ falcon", text), (
            file
        )


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), target


def tree() -> dict[str, set[str]]:
    """Return the modules that the tree in ARCHITECTURE.md names, by folder."""
    block = read("ARCHITECTURE.md").split("\n## The tree\n")[1].split("```")[1]
    found: dict[str, set[str]] = {}
    path: list[str] = []
    for line in block.splitlines():
        if folder := re.match(r"((?:[│ ]   )*)(?:[├└]── )?(\w+)/", line):
            depth = len(folder[1]) // 4 + ("── " in line)
            path = [*path[:depth], folder[2]]
        found.setdefault("/".join(path), set()).update(re.findall(r"\b\w+\.py\b", line))
    found.pop("", None)
    return found


def test_the_tree_in_the_architecture_is_that_of_the_catalog() -> None:
    there: dict[str, set[str]] = {}
    for file in (REPOSITORY / "falcon_catalog").rglob("*.*"):
        if file.suffix in {".py", ".sql"}:
            modules = there.setdefault(str(file.parent.relative_to(REPOSITORY)), set())
            modules.update(
                {file.name} - {"__init__.py", "__main__.py"} if file.suffix == ".py" else ()
            )
    shown = {folder: names for folder, names in tree().items() if not folder.startswith("jobs")}
    assert shown == there


def test_the_tree_in_the_architecture_is_that_of_the_pipeline() -> None:
    there = {file.parent.relative_to(REPOSITORY) for file in (REPOSITORY / "jobs").rglob("*.py")}
    shown = {folder: names for folder, names in tree().items() if folder.startswith("jobs")}
    assert set(shown) == {str(folder) for folder in there}
    for folder, names in shown.items():
        for name in names:
            assert (REPOSITORY / folder / name).is_file(), f"{folder}/{name}"
    modules = {file.name for file in (REPOSITORY / "jobs").glob("*.py")} - {"__init__.py"}
    assert shown["jobs"] == modules


def test_the_architecture_names_every_folder_and_is_one_page() -> None:
    page = read("ARCHITECTURE.md")
    for name in ("dbt", "examples", "conf", "systemd", "benchmarks", "tests", "docs"):
        assert f"`{name}/`" in page
    assert len(page.splitlines()) <= 130


def test_the_glossary_names_files_that_exist() -> None:
    rows = re.findall(
        r"(?m)^\| ([^|]+) \| [^|]+ \| `([^`]+)` \| [^|]+ \|$", read("docs/glossary.md")
    )
    assert len(rows) > 40
    for term, place in rows:
        own = place.startswith(("jobs/", "dbt/", "benchmarks/"))
        assert (REPOSITORY / ("" if own else "falcon_catalog") / place).is_file(), term


def test_every_decision_is_listed() -> None:
    index = read("docs/decisions/README.md")
    records = sorted((REPOSITORY / "docs/decisions").glob("0*.md"))
    assert len(records) >= 5
    for number, record in enumerate(records, 1):
        title = record.read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {number}. ")
        assert f"{number}. [{title.partition('. ')[2]}]({record.name})" in index


@pytest.mark.parametrize("name", ENGINES)
def test_the_page_of_engines_shows_what_is_printed(name: str) -> None:
    engine = ENGINES[name]
    _, _, section = read("docs/engines.md").partition(f"\n## {engine.title}\n")
    shown = engine.write(Address("http://127.0.0.1:8181", "default"))
    assert f"\n{shown}```\n" in section.partition("\n## ")[0]


def test_the_changelog_speaks_of_this_version() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["version"] == __version__
    assert f"\n## {__version__} - " in read("CHANGELOG.md")
