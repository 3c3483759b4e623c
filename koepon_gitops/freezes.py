"""Windows of time in which nothing is promoted, by the clocks of a time zone."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from koepon_gitops.model import Value

type _Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[str, ...] = get_args(_Day.__value__)
_MINUTE = timedelta(minutes=1)
_DAY = 24 * 60


def _moment(value: object) -> int | datetime:
    """`HH:MM` to minutes since midnight, `YYYY-MM-DDTHH:MM` to a wall-clock time."""
    text = value if isinstance(value, str) else ""
    if re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00", text):
        return int(text[:2]) * 60 + int(text[3:])
    if re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}", text):
        return datetime.fromisoformat(text)
    raise ValueError('it has to be a time such as "03:00", or a date and time such as "2026-12-30T00:00", in quotes')


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("it has to be a time zone such as Asia/Tokyo") from None
    return value


type _Moment = Annotated[int | datetime, BeforeValidator(_moment)]


class Freeze(Value):
    """A window in which nothing is promoted: from <= wall-clock time in `timezone` < to."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    start: _Moment = Field(alias="from")
    """Minutes since midnight for a window of every day, else a wall-clock time; `end` alike."""
    end: _Moment = Field(alias="to")
    """Not after `start`: on the next day."""
    timezone: Annotated[str, AfterValidator(_zone)]
    days: tuple[_Day, ...] = ()
    """Days on which a window of every day begins; empty: all."""

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        match self.start, self.end:
            case datetime() as start, datetime() as end:
                if self.days or end <= start:
                    raise ValueError("`to` has to be later than `from`, and `days` is for daily windows only")
            case int() as start, int() as end:
                if start in (end, _DAY):
                    raise ValueError('`from` has to differ from `to`, and a whole day is from "00:00" to "24:00"')
            case _:
                raise ValueError("`from` and `to` have to be both times, or both dates and times")
        return self

    def ends(self, now: datetime) -> datetime | None:
        """When the window that holds at `now` ends, in its time zone; None when none holds.

        Windows that touch, such as whole days, count as one, for about a week.
        """
        zone = ZoneInfo(self.timezone)
        end = None
        for _ in range(8):
            wall = self._end_on_the_wall((end or now).astimezone(zone).replace(tzinfo=None))
            if wall is None:
                break
            end = _reached(wall, zone, end or now)
        return end

    def _end_on_the_wall(self, wall: datetime) -> datetime | None:
        match self.start, self.end:
            case datetime() as start, datetime() as end:
                return end if start <= wall < end else None
            case int() as start, int() as end:
                length = timedelta(minutes=(end - start) % _DAY or _DAY)
                for begun in (wall.date(), wall.date() - timedelta(days=1)):
                    opening = datetime.combine(begun, time()) + start * _MINUTE
                    if opening <= wall < opening + length and (not self.days or _DAYS[begun.weekday()] in self.days):
                        return opening + length
        return None


def _reached(wall: datetime, zone: ZoneInfo, now: datetime) -> datetime:
    """The first minute from `now` on at which clocks in `zone` show `wall` or later, put on or back or not."""
    first, _ = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    moment = max(first, now.astimezone(UTC).replace(second=0, microsecond=0))
    while moment.astimezone(zone).replace(tzinfo=None) < wall:
        moment += _MINUTE
    return moment.astimezone(zone)
