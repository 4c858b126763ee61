"""The pipeline's settings: flags over environment over file over defaults.

The file is ``conf/luigi.cfg`` (``LUIGI_CONFIG_PATH`` names another), the environment variable of
``[weather] base_url`` is ``WEATHER_BASE_URL`` and its flag ``--weather-base-url``.
"""

import datetime as dt
import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import luigi
import luigi.configuration
import luigi.interface
from luigi.cmdline_parser import CmdlineParser
from luigi.parameter import ParameterException, ParameterVisibility
from pyiceberg.exceptions import ForbiddenError, OAuthError, UnauthorizedError

# Options of a setting that is neither part of a task's id nor shown.
SECRET: Any = {"significant": False, "visibility": ParameterVisibility.PRIVATE}
Moment = TypeVar("Moment", dt.date, dt.datetime)

# As the service's OpenAPI document names them: StateTerritoryCode, with the freely associated
# states that newer versions add, and MarineAreaCode.
STATES = (
    "AK AL AR AS AZ CA CO CT DC DE FL FM GA GU HI IA ID IL IN KS KY LA MA MD ME MH MI MN MO MP MS"
    " MT NC ND NE NH NJ NM NV NY OH OK OR PA PR PW RI SC SD TN TX UT VA VI VT WA WI WV WY"
)
MARINE_AREAS = "AM AN GM LC LE LH LM LO LS PH PK PM PS PZ SL"
FIRST_YEAR, MOST_DAYS = 1900, 36_525
UNITS = ("month", "day")
ENGINES = ("builtin", "spark")

# The event of a task that is complete but for data that the weather service failed for.
DEGRADED = "event.weather.degraded"

_NAME = re.compile(r"[A-Z0-9_-]{2,32}")


class SettingError(ParameterException, ValueError):
    """A setting or parameter is invalid; the message names it, its value and what is valid."""

    transient = False


def is_permanent(error: BaseException) -> bool:
    """Return whether another try ends the same: the error says so, or the catalog refused."""
    refused = isinstance(error, UnauthorizedError | ForbiddenError | OAuthError)
    return refused or getattr(error, "transient", True) is False


class FromEnvironment(luigi.Parameter[Any]):
    """A setting that is read from the environment before the configuration file."""

    # Whether an empty variable is a value; otherwise it counts as unset.
    may_be_empty = False

    def __init__(self, *default: Any, **options: Any) -> None:
        super().__init__(*default, **{"always_in_help": True, **options})

    def _get_value_from_config(self, section: str, name: str) -> Any:
        value = os.environ.get(f"{section}_{name}".upper())
        if value or (value is not None and self.may_be_empty):
            return self.parse(value)
        return super()._get_value_from_config(section, name)


class Text(FromEnvironment):
    """A text setting."""


class Whole(FromEnvironment, luigi.IntParameter):
    """A whole-number setting."""


class Number(FromEnvironment, luigi.FloatParameter):
    """A decimal-number setting."""


class Switch(FromEnvironment, luigi.BoolParameter):
    """An on-or-off setting: the bare flag turns it on, the environment says true or false."""


class Words(FromEnvironment):
    """A comma-separated list of words, in the given order."""

    def parse(self, x: str) -> tuple[str, ...]:
        """Return the words of a text such as ``"weather, marts"``."""
        return tuple(word for word in re.split(r"[,\s]+", x) if word)

    def serialize(self, x: Iterable[str]) -> str:
        """Return the words, joined with commas."""
        return ",".join(x)


class Names(Words):
    """A comma-separated list of identifiers, sorted and in upper case.

    Raises:
        SettingError: a name is not a state or station identifier.
    """

    may_be_empty = True

    def _parse_or_no_value(self, x: str | None) -> Any:
        # Luigi takes an empty flag for one that is not given.
        return super()._parse_or_no_value(x) if x is None else self.parse(x)

    def normalize(self, x: Iterable[str]) -> tuple[str, ...]:
        """Return the names, sorted and in upper case."""
        names = tuple(sorted({name.upper() for name in x}))
        for name in names:
            if not _NAME.fullmatch(name):
                raise SettingError(
                    f"{name!r} in {self._attribute_name} is no identifier: give comma-separated"
                    " state or station identifiers such as NY or KJFK"
                )
        return names


class Areas(Names):
    """A comma-separated list of states and territories, or of marine areas, too.

    Raises:
        SettingError: a code that the weather service does not know.
    """

    def __init__(self, *default: Any, marine: bool = False, **options: Any) -> None:
        super().__init__(*default, **options)
        self._known = f"{STATES} {MARINE_AREAS}" if marine else STATES

    def normalize(self, x: Iterable[str]) -> tuple[str, ...]:
        """Return the codes, sorted and in upper case."""
        names = super().normalize(x)
        if unknown := sorted(set(names) - set(self._known.split())):
            raise SettingError(
                f"{', '.join(map(repr, unknown))} in {self._attribute_name}: no state or territory"
                f" that the weather service knows; known are {self._known}"
            )
        return names


class Unit(FromEnvironment):
    """The unit of a table's partitions.

    Raises:
        SettingError: neither month nor day.
    """

    def normalize(self, x: str) -> str:
        """Return the unit."""
        if x not in UNITS:
            raise SettingError(
                f"{x!r} in {self._attribute_name}: partitions are by {' or '.join(UNITS)}"
            )
        return x


class Engine(FromEnvironment):
    """An engine of table maintenance.

    Raises:
        SettingError: neither builtin nor spark.
    """

    def normalize(self, x: str) -> str:
        """Return the engine."""
        if x not in ENGINES:
            raise SettingError(
                f"{x!r} in {self._attribute_name}: the engine is {' or '.join(ENGINES)}"
            )
        return x


class weather(luigi.Config):  # noqa: N801 - the name is the section and the flags' prefix
    """Where observations come from and where files are kept: section [weather]."""

    base_url = Text("https://api.weather.gov", description="URL of the weather service")
    user_agent = Text(
        "(falcon-catalog weather pipeline, no contact set)",
        description="how the service may know and reach you: (application, contact)",
    )
    states = Areas((), description="states whose stations are read, such as NY,NJ")
    stations = Names((), description="stations to read, such as KJFK,KLGA")
    data_dir = Text("var/weather", description="folder of raw files, checkpoints and dbt's state")
    dbt_dir = Text("", description="folder of dbt_project.yml; empty: dbt/ beside the package")
    report_stations = Names(
        (), description="stations the report looks closer at; none: those that stand out"
    )
    requests_per_second = Number(5.0, description="rate limit of one process")
    timeout = Number(30.0, description="seconds to wait for an answer")
    max_attempts = Whole(6, description="tries of one request")
    max_wait = Number(120.0, description="seconds to spend on the tries of one request")
    batch_size = Whole(25, description="stations fetched by one task")
    trailing_hours = Whole(6, description="hours that an ingestion reads, its own hour last")
    history_hours = Number(
        144.0,
        description="hours the service keeps observations: older ones are not requested; 0: no end",
    )
    min_observations = Whole(
        1,
        description="observations of a period, of all stations, below which a run warns; 0: never",
    )
    alert_states = Areas(
        (), marine=True, description="states whose alerts are kept; empty: those of states"
    )
    alert_statuses = Names(
        ("ACTUAL",), description="alerts the marts count: Actual, Exercise, System, Test or Draft"
    )
    fetchers = Whole(4, description="batches fetched at once by one process")
    partition_by = Unit(
        "month", description="month or day: partitions of observations and alerts, by volume"
    )
    chunk_days = Whole(30, description="days of a back-fill that are fetched and loaded as one")
    verify = Switch(
        False,
        description="ask the catalog whether tables still are those the checkpoints speak of",
    )


class catalog(luigi.Config):  # noqa: N801 - the name is the section and the flags' prefix
    """The Iceberg REST catalog: section [catalog]."""

    uri = Text("http://127.0.0.1:8181", description="URL of the catalog")
    warehouse = Text("default", description="warehouse of the catalog")
    token = Text("", **SECRET, description="bearer token, if the catalog needs one")
    credential = Text(
        "", **SECRET, description="CLIENT_ID:CLIENT_SECRET to get tokens for, instead of a token"
    )
    timeout = Number(60.0, description="seconds to wait for an answer of the catalog")
    pages = Text(
        "", description="URL at which people open the catalog's pages, for links; empty: uri"
    )

    def pages_url(self) -> str:
        """Return where links to the catalog's pages lead."""
        return str(self.pages or self.uri)


class maintenance(luigi.Config):  # noqa: N801 - the name is the section and the flags' prefix
    """What Maintenance does to the pipeline's tables: section [maintenance]."""

    namespaces = Words(("weather", "marts"), description="namespaces whose tables are maintained")
    target_mb = Whole(128, description="size of compacted files, MB")
    min_input_files = Whole(5, description="small files of a partition that are worth compacting")
    memory_mb = Whole(256, description="rows held at once while compacting, MB")
    snapshot_days = Number(7.0, description="days of history that stay readable")
    keep_snapshots = Whole(10, description="snapshots that stay, however old")
    orphan_days = Number(3.0, description="age of files to remove that nothing refers to; >= 1")
    raw_days = Number(
        30.0,
        description="days after which raw files go, once loaded, and checkpoints are compressed;"
        " 0: never",
    )
    keep_orphans = Switch(False, description="remove no files but those of expired snapshots")
    engine = Engine("builtin", description="builtin, or spark for Iceberg's procedures on Spark")
    warn_files = Whole(
        100_000, description="live files above which the built-in engine warns; 0: never"
    )
    max_files = Whole(
        1_000_000, description="live files above which it refuses a table; 0: no limit"
    )


class spark(luigi.Config):  # noqa: N801 - the name is the section and the flags' prefix
    """How Spark is started, with Luigi's own names: section [spark]."""

    master = Text("", description="such as local[4] or spark://host:7077; empty: this machine")
    packages = Text("", description="Maven packages; empty: Iceberg's for pyspark 4.1")
    jars = Text("", description="files that replace the packages, with commas between them")
    driver_memory = Text("", description="memory of the driver, such as 4g")
    executor_memory = Text("", description="memory of each executor, such as 8g")
    conf = Text("", description="more settings of Spark: NAME=VALUE|NAME=VALUE")

    def settings(self) -> dict[str, str]:
        """Return Spark's settings.

        Raises:
            SettingError: ``conf`` has another form.
        """
        given = {
            "spark.master": self.master,
            "spark.jars.packages": self.packages,
            "spark.jars": self.jars,
            "spark.driver.memory": self.driver_memory,
            "spark.executor.memory": self.executor_memory,
        }
        pairs = [pair.partition("=") for pair in self.conf.split("|")] if self.conf else []
        for name, separator, _ in pairs:
            if not name.strip() or not separator:
                raise SettingError(f"{self.conf!r} in conf: give NAME=VALUE|NAME=VALUE")
        more = {name.strip(): value.strip() for name, _, value in pairs}
        return {name: value for name, value in given.items() if value} | more


class task_history(luigi.Config):  # noqa: N801 - the name is the section and the flags' prefix
    """What luigid remembers of runs: section [task_history], in which Luigi has db_connection."""

    keep_days = Number(90.0, description="days for which luigid remembers a run; 0: for ever")


@dataclass(frozen=True)
class Settings:
    """The settings of this process."""

    weather: weather
    catalog: catalog
    maintenance: maintenance
    spark: spark


@functools.cache
def settings() -> Settings:
    """Return the settings, which are read once per process.

    Raises:
        SettingError: a value is invalid; the message names the setting.
    """
    access = catalog()
    if not (access.token or access.credential) and (given := _credential_of_unit()):
        access = catalog(credential=given)
    return Settings(weather(), access, maintenance(), spark())


def _credential_of_unit() -> str:
    """Return what ``LoadCredential=catalog:PATH`` of a systemd unit names; empty without it.

    Source: systemd.exec(5), CREDENTIALS.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, "catalog") if folder else None
    return path.read_text(encoding="utf-8").strip() if path and path.is_file() else ""


class Day(luigi.DateParameter):
    """A UTC day that is over; when none is given, yesterday as of the task's creation.

    Raises:
        SettingError: no such day, or not over yet, so a checkpoint would hide its later hours.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(default=None, **options)  # type: ignore[arg-type]  # None is: not given

    def parse(self, s: str) -> dt.date:
        """Return the day of a text."""
        try:
            day: dt.date = super().parse(s)
        except ValueError as error:
            raise SettingError(
                f"{s!r} is no day: give YYYY-MM-DD such as 2013-07-02 ({error})"
            ) from None
        return day

    def normalize(self, x: dt.date | None) -> dt.date:
        """Return the day, or yesterday if it is None."""
        last = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
        day: dt.date = super().normalize(last if x is None else x)
        return _over(day, last, "date", "%Y-%m-%d")


class Hour(luigi.DateHourParameter):
    """A UTC hour that is over; when none is given, the last one as of the task's creation.

    Raises:
        SettingError: no such hour, or not over yet, so a checkpoint would hide its later minutes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(default=None, **options)  # type: ignore[arg-type]  # None is: not given

    def parse(self, s: str) -> dt.datetime:
        """Return the hour of a text."""
        try:
            hour: dt.datetime = super().parse(s)
        except ValueError as error:
            raise SettingError(
                f"{s!r} is no hour: give YYYY-MM-DDTHH such as 2013-07-02T14 ({error})"
            ) from None
        return hour

    def normalize(self, x: dt.datetime | None) -> dt.datetime:
        """Return the hour, or the last one if it is None; without a time zone."""
        now = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
        last = now - dt.timedelta(hours=1)
        hour: dt.datetime = super().normalize(last if x is None else x)
        return _over(hour, last, "hour", "%Y-%m-%dT%H")


def _over(moment: Moment, last: Moment, kind: str, form: str) -> Moment:
    what = "day" if kind == "date" else kind
    if moment > last:
        raise SettingError(
            f"{kind} {moment:{form}} is not over in UTC: the last {what} to load is {last:{form}}"
        )
    if moment.year < FIRST_YEAR:
        raise SettingError(f"{kind} {moment.isoformat()}: the first year to load is {FIRST_YEAR}")
    return moment


class Days(luigi.IntParameter):
    """A number of days.

    Raises:
        SettingError: it is not between 1 and a century.
    """

    def parse(self, s: str) -> int:
        """Return the number of a text."""
        try:
            return int(super().parse(s))
        except ValueError:
            raise SettingError(f"{s!r} days: give a number from 1 to {MOST_DAYS}") from None

    def normalize(self, x: int) -> int:
        """Return the number."""
        if not 1 <= x <= MOST_DAYS:
            raise SettingError(f"{x} days: give a number from 1 to {MOST_DAYS}")
        return x


class FromWeather(luigi.Parameter[Any]):
    """A task parameter whose default is the [weather] setting of the same name."""

    def __init__(self, setting: luigi.Parameter[Any], **options: Any) -> None:
        super().__init__(default=None, description=setting.description, **options)
        self._setting = setting

    def _value_iterator(self, task_name: str, param_name: str) -> Iterator[Any]:
        # Luigi takes an empty flag for one that is not given.
        parser = CmdlineParser.get_instance()
        if parser and parser.known_args.root_task == task_name:
            given = getattr(parser.known_args, param_name, None)
            if given == "" and getattr(self._setting, "may_be_empty", False):
                yield self.parse(given), None
        yield from super()._value_iterator(task_name, param_name)

    def parse(self, x: str) -> Any:
        """Return the parsed value, as the setting parses it."""
        return self._setting.parse(x)

    def serialize(self, x: Any) -> str:
        """Return the value as text, as the setting writes it."""
        return str(self._setting.serialize(x))

    def normalize(self, x: Any) -> Any:
        """Return the value, or the setting's if it is None."""
        if x is None:
            return getattr(settings().weather, self._attribute_name)
        return self._setting.normalize(x)


def dbt_dir() -> Path:
    """Return the dbt project: ``[weather] dbt_dir``, or ``dbt/`` beside the package or here.

    Raises:
        FileNotFoundError: no ``dbt_project.yml`` in any of these places.
    """
    given = settings().weather.dbt_dir
    places = [Path(given)] if given else [Path(__file__).parents[1] / "dbt", Path("dbt")]
    for place in places:
        if (place / "dbt_project.yml").is_file():
            return place.resolve()
    raise FileNotFoundError(
        f"no dbt_project.yml in {' or '.join(map(str, places))}:"
        " set [weather] dbt_dir to the dbt folder of a checkout"
    )


def luigid_address() -> str:
    """Return where luigid listens, and so where runs look for it: ``HOST:PORT``.

    The environment's LUIGID_LISTEN comes before ``[core] scheduler_host`` and ``_port``.
    """
    core = luigi.interface.core()
    return os.environ.get("LUIGID_LISTEN") or f"{core.scheduler_host}:{core.scheduler_port}"


def _read_file() -> None:
    """Add ``conf/luigi.cfg`` to Luigi's files, unless another one was named or is here.

    Luigi itself looks for luigi.cfg in the working directory only.
    """
    # Luigi reads these where it needs them, and would warn that they are unused.
    luigi.interface.core.ignore_unconsumed |= {
        "rpc_connect_timeout",
        "rpc_retry_attempts",
        "rpc_retry_wait",
    }
    path = Path("conf", "luigi.cfg")
    if "LUIGI_CONFIG_PATH" not in os.environ and not Path("luigi.cfg").exists() and path.exists():
        luigi.configuration.add_config_path(str(path))


_read_file()
