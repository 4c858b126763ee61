"""A year of reports as a series without end, of which a station serves a span."""

from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import overload

from jobs.nws_simulator.data import Observation
from jobs.nws_simulator.reports import Place, Report, observation

DAY = timedelta(days=1)
_LEAP_DAY = timedelta(days=31 + 28)  # from New Year to 29 February


class Calendar:
    """The same year again and again: a report comes back at the same date and hour.

    A leap year's 29 February has the reports of the 28th once more.

    Args:
        reports: one calendar year of them, oldest first.
        years: how many years are served, the last of them this one.
    """

    def __init__(self, reports: Sequence[Report], years: int) -> None:
        first, last = reports[0].time, reports[-1].time
        self.span = first.replace(year=first.year - years + 1), last
        begin = _new_year(first.year)
        common = [(report.time - begin, report) for report in reports]
        until = [offset for offset, _ in common]
        cut = bisect_left(until, _LEAP_DAY)
        again = common[bisect_left(until, _LEAP_DAY - DAY) : cut]
        later = [(offset + DAY, report) for offset, report in [*again, *common[cut:]]]
        leap = common[:cut] + later
        # A year more on both sides: what is moved out of the span at one end comes in there.
        self._years = [
            (_new_year(year), leap if isleap(year) else common)
            for year in range(first.year - years, first.year + 2)
        ]
        self._starts = [0, *accumulate(len(held) for _, held in self._years)]

    def __len__(self) -> int:
        """Return the number of reports of all years."""
        return self._starts[-1]

    def at(self, place: int) -> tuple[datetime, Report]:
        """Return the report at this place of the series, oldest first, and its time."""
        year = bisect_right(self._starts, place) - 1
        begin, held = self._years[year]
        offset, report = held[place - self._starts[year]]
        return begin + offset, report


class Series(Sequence[Observation]):
    """What a station serves: the calendar's reports, moved in time, of its span; newest first.

    Each is made when it is requested, so a station may serve any number of years.
    """

    def __init__(self, place: Place, calendar: Calendar, move: timedelta = timedelta(0)) -> None:
        self._place = place
        self._calendar = calendar
        self._move = move
        start, end = calendar.span
        everything = range(len(calendar))
        self._places = range(
            bisect_left(everything, x=True, key=lambda n: calendar.at(n)[0] + move >= start),
            bisect_left(everything, x=True, key=lambda n: calendar.at(n)[0] + move > end),
        )[::-1]

    def __len__(self) -> int:
        """Return the number of observations."""
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Observation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Observation]: ...
    def __getitem__(self, index: int | slice) -> Observation | Sequence[Observation]:
        """Return one observation, or several."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        time, report = self._calendar.at(self._places[index])
        return Observation(time + self._move, partial(observation, self._place, report))


def _new_year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)
