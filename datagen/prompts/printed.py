"""The text of a value as shops write it, and Jinja's filters where a value may be null.

A null is no text. Printed, or joined to one, it leaves its row out; through a filter it stays a null, so
that `{% if brand | trim %}` can ask for it and `default` can stand in for it.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from math import isfinite
from typing import Any

from jinja2 import Environment, Undefined, pass_environment
from jinja2.filters import FILTERS, make_attrgetter

from datagen.errors import Reject

Filter = Callable[..., Any]

PRICE_PLACES = 2
"""Places after the point that a decimal keeps as SQL has them; zeros behind those are of SQL's making."""

_TEXT = ("capitalize", "lower", "string", "title", "trim", "truncate", "upper")
_OF_UNDEFINED = ("default", "d")


def printed(value: Any) -> str:
    """The text of one value. Raises Reject where it is null, TypeError where it is a list and the like."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and not isfinite(value)):
        raise Reject("null_slot")
    if isinstance(value, float):
        text = repr(value)
        return f"{Decimal(text):f}" if "e" in text else text
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, int | date | time | Undefined):  # an undefined name tells of itself
        return str(value)
    raise TypeError(
        f"a {type(value).__name__} cannot be printed: join a list, `{{{{ names | join(', ') }}}}`, "
        "and cast anything else to VARCHAR in the query"
    )


def compared(value: Any) -> Any:
    """A double as the decimal that is written for it: DECIMAL 0.1 is 0.1, though no double is."""
    return Decimal(repr(value)) if type(value) is float else value


def holds_null(value: Any) -> bool:
    """Whether a value is null, or a list or struct with a null in it, however deep."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return value is None
    return any(map(holds_null, value))


def filters() -> dict[str, Filter]:
    """Jinja's filters by name, which no null gets past as a word."""
    own = {name: _of_text(FILTERS[name]) for name in _TEXT}
    own |= dict.fromkeys(_OF_UNDEFINED, _default)
    others = {name: _of_value(function) for name, function in FILTERS.items()}
    return {**others, **own, "join": _join}


def _decimal(value: Decimal) -> str:
    """82.60 as it is; 90.8600, a price that SQL has multiplied, as 90.86; never with an exponent."""
    whole, point, places = f"{value:f}".partition(".")
    return whole + point + places[:PRICE_PLACES] + places[PRICE_PLACES:].rstrip("0")


def _of_text(function: Filter) -> Filter:
    """A filter of texts: of anything else it gets what would be printed."""

    def of_text(value: Any, *others: Any, **settings: Any) -> Any:
        if type(value) is str:
            return function(value, *others, **settings)
        return None if value is None else function(printed(value), *others, **settings)

    def in_environment(environment: Any, value: Any, *others: Any, **settings: Any) -> Any:
        return None if value is None else function(environment, printed(value), *others, **settings)

    return _like(function, of_text, in_environment)


def _of_value(function: Filter) -> Filter:
    """A filter of any value, which a null passes unchanged."""

    def of_value(value: Any, *others: Any, **settings: Any) -> Any:
        return None if value is None else function(value, *_known(others), **settings)

    def in_environment(environment: Any, value: Any, *others: Any, **settings: Any) -> Any:
        return None if value is None else function(environment, value, *_known(others), **settings)

    return _like(function, of_value, in_environment)


def _like(function: Filter, plain: Filter, in_environment: Filter) -> Filter:
    """Whichever of the two takes what `function` takes: some filters get Jinja's environment first."""
    return functools.wraps(function)(in_environment if hasattr(function, "jinja_pass_arg") else plain)


def _known(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if None in values:
        raise Reject("null_slot")
    return values


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Jinja's `default`, which stands in for a null, too: every slot is defined."""
    missing = value is None or isinstance(value, Undefined) or (boolean and not value)
    return default_value if missing else value


@pass_environment
def _join(
    environment: Environment,
    value: Iterable[Any] | None,
    d: Any = "",
    attribute: str | int | None = None,
) -> str | None:
    """Jinja's `join`, of values that print."""
    if value is None:
        return None
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return printed(d).join(map(printed, value))
