"""Fault injection: which fault a request meets, and spoiled observations."""

import copy
import itertools
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from jobs.parse.units import convert, unit_name

Feature = dict[str, Any]
Spoiler = Callable[[list[Feature], random.Random], None]

# What the caller gets instead of its answer, or of all of it.
ANSWER_FAULTS = {
    "forbidden": "403, the CDN's HTML page",
    "throttle": "429 with Retry-After",
    "throttle-bare": "429 without Retry-After",
    "unavailable": "503 with Retry-After",
    "unavailable-bare": "503 without Retry-After",
    "error": "500, problem+json",
    "timeout": "no answer until the caller hangs up, or --hang seconds",
    "truncate": "a body cut short of its Content-Length",
    "null-features": "200 whose features are null: the service's own upstream failed",
}

# Faults of the service that last, for every client.
SERVICE_FAULTS = {
    "bad-station": "500 for every page of /stations with the station in a list's middle on it",
    "endless-alerts": "/alerts whose next pages are the first page again, for ever",
    "stale-modified": "a Last-Modified that stays, so 304 whatever came since",
}


class Faults:
    """Choose the faults of each request: scripted ones first, then by chance.

    Chance is seeded and drawn for each URL by itself, so a run repeats whatever the order of its
    requests; after `in_a_row` spoiled answers in a row a URL gets a whole one, so that retries
    always succeed in the end.

    Args:
        chances: fault name → probability, 0 to 1.
        script: what the next requests meet, one entry each: names joined by "+", "" for none.
        seed: of the chances.
        in_a_row: the most answer faults one URL meets in a row by chance.

    Raises:
        ValueError: an unknown fault or a probability outside 0 to 1.
    """

    def __init__(
        self,
        chances: Mapping[str, float] | None = None,
        *,
        script: Iterable[str] = (),
        seed: int = 0,
        in_a_row: int = 2,
    ) -> None:
        self._chances = dict(chances or {})
        for name, chance in self._chances.items():
            _known(name)
            if not 0 <= chance <= 1:
                raise ValueError(f"fault {name}={chance}: a probability is between 0 and 1")
        self._script = deque(names(entry) for entry in script)
        self._seed = seed
        self._in_a_row = in_a_row
        self._asked: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def choose(self, url: str) -> frozenset[str]:
        """Return the faults of a request for `url` (path and query): at most one answer fault."""
        with self._lock:
            if self._script:
                return self._script.popleft()
            self._asked[url] += 1
            draw = self.generator(f"{url} {self._asked[url]}")
            drawn = [name for name, chance in self._chances.items() if draw.random() < chance]
            answers = [name for name in drawn if name in ANSWER_FAULTS]
            if not answers or self._failed[url] >= self._in_a_row:
                self._failed[url] = 0
                return frozenset(drawn) - ANSWER_FAULTS.keys()
            self._failed[url] += 1
            return frozenset({answers[0]})

    def generator(self, key: str) -> random.Random:
        """Return the random generator of a key."""
        return random.Random(f"{self._seed} {key}")  # noqa: S311 - faults are no secret


def parse(spec: str) -> dict[str, float]:
    """Return the chances of "throttle=0.1,unsorted"; a bare name means always.

    Raises:
        ValueError: an unknown fault or an invalid number.
    """
    chances = {}
    for item in filter(None, (part.strip() for part in spec.split(","))):
        name, given, chance = item.partition("=")
        _known(name)
        try:
            chances[name] = float(chance) if given else 1.0
        except ValueError:
            raise ValueError(f"fault {item!r}: {chance!r} is not a number") from None
    return chances


def names(entry: str) -> frozenset[str]:
    """Return the names of "throttle" or "unsorted+strings".

    Raises:
        ValueError: one of them is unknown.
    """
    return frozenset(_known(name) for name in entry.split("+") if name)


def _known(name: str) -> str:
    known = [*ANSWER_FAULTS, *SERVICE_FAULTS, *DATA_FAULTS]
    if name not in known:
        raise ValueError(f"unknown fault {name!r}: choose from {', '.join(known)}")
    return name


def spoil(
    features: list[Feature], faults: Iterable[str], generator: random.Random
) -> list[Feature]:
    """Return a spoiled copy of observations, from which a good reader still gets every value."""
    chosen = [DATA_FAULTS[name][1] for name in DATA_FAULTS if name in set(faults)]
    spoiled = copy.deepcopy(features) if chosen else features
    for spoiler in chosen:
        spoiler(spoiled, generator)
    return spoiled


def _quantities(feature: Feature) -> list[dict[str, Any]]:
    values = feature["properties"].values()
    return [value for value in values if isinstance(value, dict) and "unitCode" in value]


def _duplicates(features: list[Feature], generator: random.Random) -> None:
    """Repeat some records with one value missing, as in the service's five-minute records."""
    for feature in generator.sample(features, k=(len(features) + 3) // 4):
        poorer = copy.deepcopy(feature)
        for quantity in _quantities(poorer)[-1:0:-1]:
            if quantity["value"] is not None:
                quantity["value"] = None
                break
        features.insert(generator.randrange(len(features) + 1), poorer)


def _strings(features: list[Feature], _: random.Random) -> None:
    for feature in features:
        for quantity in _quantities(feature):
            if quantity["value"] is not None:
                quantity["value"] = str(quantity["value"])


def _recode(
    features: list[Feature],
    _: random.Random,
    *,
    prefix: str,
    units: Mapping[str, str],
    flag_prefix: str = "",
) -> None:
    """Convert values to other units, under other prefixes of unit codes and flags."""
    fields = itertools.chain.from_iterable(one["properties"].items() for one in features)
    for field, quantity in fields:
        if not isinstance(quantity, dict) or "unitCode" not in quantity:
            continue
        code = quantity["unitCode"]
        unit = unit_name(code)
        # Precipitation changed its unit; a height or a visibility in the same unit did not.
        to = units.get(field, units.get(unit, unit))
        if quantity["value"] is not None:
            quantity["value"] = convert(float(quantity["value"]), code, to)
        quantity["unitCode"] = prefix + to
        if quantity.get("qualityControl"):
            quantity["qualityControl"] = flag_prefix + quantity["qualityControl"]


# The service's units until 2020, and units that it may use one day.
_OLD_UNITS = {"km_h-1": "m_s-1", "mm": "m"}
_NEW_UNITS = {"degC": "degF", "km_h-1": "kt", "Pa": "hPa", "mm": "in", "visibility": "km"}


def _missing_keys(features: list[Feature], _: random.Random) -> None:
    """Leave out what the service omits at times: the station's id and every null."""
    for feature in features:
        properties = feature["properties"]
        empty = [
            key
            for key, value in properties.items()
            if not value
            or (isinstance(value, dict) and "unitCode" in value and value.get("value") is None)
        ]
        for key in (*empty, "stationId", "stationName"):
            properties.pop(key, None)


def _broken(features: list[Feature], _: random.Random) -> None:
    """Add a record without a time, even in its id."""
    if features:
        broken = copy.deepcopy(features[0])
        properties = broken["properties"]
        properties.pop("timestamp", None)
        url = str(broken.get("id", "")).rpartition("/")[0]
        broken["id"] = properties["@id"] = f"{url}/unknown"
        features.append(broken)


DATA_FAULTS: dict[str, tuple[str, Spoiler]] = {
    "missing-keys": ("observations without stationId and without their nulls", _missing_keys),
    "old-units": (
        "unit: and qc: prefixes, wind in m/s, rain in m",
        partial(_recode, prefix="unit:", units=_OLD_UNITS, flag_prefix="qc:"),
    ),
    "new-units": (
        "nwsUnit: prefix, degF, kt, hPa, in, km",
        partial(_recode, prefix="nwsUnit:", units=_NEW_UNITS),
    ),
    "strings": ("values as strings", _strings),
    "duplicates": ("some records twice, once with a value less", _duplicates),
    "broken": ("a record more, without its time", _broken),
    "unsorted": ("records in no order", lambda features, draw: draw.shuffle(features)),
}
