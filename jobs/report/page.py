"""The HTML file: text, tables and charts, with their data and the code that draws them."""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from typing import Any, cast

import vl_convert
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from jobs.report.blocks import (
    Block,
    Cards,
    Day,
    Figure,
    Section,
    Story,
    Table,
    Words,
    long_date,
    moment,
)
from jobs.report.places import STATES

# The one function of Vega that the page calls.
_EMBED = "window.vegaEmbed = vegaEmbed;"

# Entries of the menu, with their sections.
PARTS = (
    ("The day", ("glance", "map", "extremes")),
    ("Alerts", ("alerts", "alerts-by-area")),
    ("Hour by hour", ("meteograms",)),
    ("The year", ("records", "calendar", "wind")),
    ("Time travel", ("history",)),
    ("The data", ("coverage", "freshness", "quarantine", "runs", "loads", "drift", "absent")),
)


def render(day: Day, story: Story, sections: Sequence[Section], uri: str, run: str) -> str:
    """Return the page, which fetches nothing and runs no script but its own.

    The page's content security policy lists the digests of its scripts, so a script in a text
    from the lake would not run. ``run`` is the catalog's page of the day's loads.
    """
    figures = [
        block for section in sections for block in section.blocks if isinstance(block, Figure)
    ]
    by_name = {section.name: section for section in sections}
    # Column names once instead of in every row; page.js restores the rows.
    datasets: dict[str, Any] = {
        name: {"columns": list(rows[0]), "rows": [list(row.values()) for row in rows]}
        for figure in figures
        for name, rows in figure.data.items()
    }
    if "places" in datasets:
        datasets["states"] = json.loads(STATES.read_text())
    scripts = [vl_convert.javascript_bundle(_EMBED), _resource("page.js")]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for kind in (Words, Cards, Figure, Table):
        environment.tests[kind.__name__.lower()] = cast("Any", partial(_is, kind))
    return environment.from_string(_resource("page.html.j2")).render(
        day=long_date(day.date),
        zone=day.zone,
        story=story,
        built=moment(dt.datetime.now(dt.UTC), day.zone),
        uri=uri,
        run=run,
        parts=[
            {"title": title, "sections": [by_name[name] for name in names if name in by_name]}
            for title, names in PARTS
            if by_name.keys() & set(names)
        ],
        style=Markup(_resource("page.css")),  # noqa: S704 - our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own file and Vega
        policy=_policy(scripts),
        charts=_json({figure.name: figure.chart.to_dict() for figure in figures}),
        datasets=_json(datasets),
    )


def _policy(scripts: Sequence[str]) -> str:
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _json(value: Any) -> Markup:
    """Return JSON that cannot close the script element around it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - escaped here


def _is(kind: type[Block], block: Block) -> bool:
    return isinstance(block, kind)


def _resource(name: str) -> str:
    return files("jobs.report").joinpath(name).read_text(encoding="utf-8")
