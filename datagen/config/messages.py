"""Validation of YAML documents against pydantic models, with one message per mistake at its line and column.

A message says what stands there and what could stand there instead. The second half is read off the model;
the tables of `docs/recipe.md` use the same words.
"""

from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from datagen.config.document import Document, Loc
from datagen.suggest import among, nearest

Model = TypeVar("Model", bound=BaseModel)

_CODES = {
    "missing": "missing_key",
    "extra_forbidden": "unknown_key",
    "enum": "unknown_value",
    "literal_error": "unknown_value",
    "string_pattern_mismatch": "bad_name",
    "too_short": "empty_value",
    "string_too_short": "empty_value",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
}
"""pydantic's kinds of error; all others are `wrong_type`."""


def validate(document: Document, model: type[Model], data: Any, loc: Loc = ()) -> Model | None:
    """`data`, which stands at `loc` of the document, as `model`; None where it is wrong.

    Each complaint is added to the document's problems.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        misspelt = {_meant(model, detail) for detail in details if detail["type"] == "extra_forbidden"}
        for detail in details:
            if detail["loc"] in document.inherited:
                continue  # the value is complained of where it stands
            if detail["type"] != "missing" or detail["loc"] not in misspelt:  # one mistake, one complaint
                _note(document, model, detail, loc)
        return None


def expected(annotation: Any, field: FieldInfo | None = None) -> str:
    """What may stand where a value of this type is wanted, in words: `a whole number above 0`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if field is not None and field.title:
        return field.title
    if origin is Annotated:
        return expected(arguments[0], arguments[1] if isinstance(arguments[1], FieldInfo) else None)
    if origin in (Union, UnionType):
        return ", or ".join("null" if part is NoneType else expected(part, field) for part in arguments)
    if origin is list:
        return f"a list, each item {expected(arguments[0])}"
    if _choices(annotation):
        return "one of " + ", ".join(f"`{choice}`" for choice in _choices(annotation))
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _bounds(field)
    return {str: "text", bool: "true or false"}.get(annotation, "a mapping of keys to values")


def _choices(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(choice.value) for choice in annotation]
    if get_origin(annotation) in (Union, UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def _bounds(field: FieldInfo | None) -> str:
    words = {Gt: " above {0.gt}", Ge: " from {0.ge}", Le: " to {0.le}"}
    rules = field.metadata if field else []
    bounds = "".join(words[type(rule)].format(rule) for rule in rules if type(rule) in words)
    return bounds if " to " in bounds else bounds.replace(" from 0", ", 0 or more")


def _note(document: Document, model: type[BaseModel], detail: ErrorDetails, outer: Loc) -> None:
    """Add one of pydantic's complaints to the document, in our words and at its place."""
    inner = tuple(detail["loc"])
    is_key = inner[-1:] == ("[key]",)
    inner = inner[:-1] if is_key else inner
    loc = (*outer, *inner)
    path, found = ".".join(map(str, loc)), _shown(detail["input"])
    code = _CODES.get(detail["type"], "wrong_type")
    if advice := detail.get("ctx", {}).get("advice"):  # from a validator of ours, whose type is a code
        document.problem(document.value(loc), detail["type"], f"`{path}` is {found}: {advice}")
    elif code == "unknown_key":
        known = _annotation(model, inner[:-1])[0].model_fields
        document.problem(document.key(loc), code, f"`{path}` is no key: {among(loc[-1], known)}")
    elif code == "missing_key":
        wanted = expected(*_annotation(model, inner))
        document.problem(document.key(loc[:-1]), code, f"`{path}` is missing: add `{loc[-1]}:` with {wanted}")
    elif is_key:
        keys = get_args(_annotation(model, inner[:-1])[0])[0]
        document.problem(document.key(loc), code, f"`{loc[-1]}` can't be a key here: write {expected(keys)}")
    elif code == "unknown_value":
        known = _choices(_annotation(model, inner)[0])
        document.problem(document.value(loc), code, f"`{path}` is {found}: {among(detail['input'], known)}")
    else:
        wanted = expected(*_annotation(model, inner))
        if detail["input"] is None:
            code = "empty_value"
        elif code == "wrong_type":  # the value may look right: it's the quotes that make the difference
            found = f"the text {found}" if isinstance(detail["input"], str) else found
            wanted = f"{wanted}, in quotes" if wanted == "text" else wanted
        document.problem(document.value(loc), code, f"`{path}` is {found}: write {wanted}")


def _meant(model: type[BaseModel], detail: ErrorDetails) -> Loc:
    """Where a key that is not known would stand, had it been spelt as the nearest known one."""
    *outer, key = detail["loc"]
    return (*outer, nearest(key, _annotation(model, tuple(outer))[0].model_fields) or "")


def _annotation(annotation: Any, loc: Loc, field: FieldInfo | None = None) -> tuple[Any, FieldInfo | None]:
    """The type (and field) that a model declares for the value at `loc`."""
    if not loc:
        return annotation, field
    if get_origin(annotation) in (list, dict):
        return _annotation(get_args(annotation)[-1], loc[1:])
    field = annotation.model_fields[loc[0]]
    return _annotation(field.annotation, loc[1:], field)


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "empty"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
    return f"`{text if len(text) <= 40 else text[:39] + '…'}`"
