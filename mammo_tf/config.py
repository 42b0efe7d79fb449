"""Frozen dataclass configurations: changing them from the command line, and comparing them."""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

from mammo_tf.errors import UserError


def apply_overrides(config: Any, assignments: tuple[str, ...]) -> Any:
    """Returns a copy of `config` with "section.key=value" assignments applied.

    Args:
        config: A frozen dataclass, possibly with dataclasses as fields.
        assignments: Such as ("training.learning_rate=1e-4", "num_folds=3"). A tuple's items are
            separated by commas; "none" empties a field that may be None.

    Returns:
        A new configuration; its own range checks have run.

    Raises:
        UserError: For an unknown key (the near ones are named) or a value of another type.
    """
    changes = []
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        if not sign:
            raise UserError(f"An override is KEY=VALUE. Received: {assignment!r}.")
        changes.append((key.strip().split("."), text.strip()))
    return _replace(config, changes, "", config)


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises UserError unless `low` <= `value` <= `high`; NaN is refused too."""
    if not low <= value <= high:
        raise UserError(f"`{name}` must be between {low} and {high}. Received: {value}.")


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raises UserError unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(f"`{name}` must be one of {', '.join(choices)}. Received: {value!r}.")


def to_plain(config: Any) -> dict:
    """Returns `config` as dicts, lists, numbers and strings, as JSON would give it back."""
    return _plain(config)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=dataclasses.asdict))


def parse_like(text: str, default: Any, key: str) -> Any:
    """Returns `text` as a value of the type that `default` has.

    Args:
        text: As on the command line; a tuple's items are separated by commas.
        default: A bool, int, float, str, None (text) or tuple of one of these.
        key: Names the setting in an error.

    Raises:
        UserError: If `text` is no such value.
    """
    if isinstance(default, tuple):
        kinds: Any = (type(default[0]),) * len(default) if default else (str, ...)
        return _parse(text, tuple.__class_getitem__(kinds), key)
    return _parse(text, str if default is None else type(default), key)


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Lists where two plain configurations differ, as "key: old, now new"."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        name = f"{prefix}{key}"
        left, right = old.get(key), new.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differences(left, right, f"{name}.")
        elif left != right:
            found.append(f"{name}: {left}, now {right}")
    return found


def from_plain(kind: Any, plain: Any, prefix: str = "") -> Any:
    """Returns the configuration that `to_plain` gave as dicts, lists, numbers and strings.

    Args:
        kind: The dataclass, or the type of a part of it.
        plain: The values; what is left out has its default.
        prefix: Names the part in an error.

    Raises:
        UserError: For an unknown key (the near ones are named) or a value of another type.
    """
    if not isinstance(plain, dict):
        raise UserError(f"`{prefix.rstrip('.') or 'The settings'}` must be an object of settings.")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    values = {}
    for name, value in plain.items():
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=2, cutoff=0.6)
            hint = f" Did you mean {' or '.join(prefix + each for each in near)}?" if near else ""
            raise UserError(f"Unknown key `{prefix}{name}`.{hint}")
        values[name] = _value(hints[name], value, f"{prefix}{name}")
    return kind(**values)


def _value(kind: Any, value: Any, key: str) -> Any:
    """A value of JSON as the type of a field has it."""
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        return _first(_value, [each for each in options if each is not type(None)], value, key)
    if dataclasses.is_dataclass(kind):
        return from_plain(kind, value, f"{key}.")
    if origin is tuple and isinstance(value, list):
        inner = [options[0]] * len(value) if Ellipsis in options else options
        if len(inner) == len(value):
            return tuple(_value(each, item, key) for each, item in zip(inner, value, strict=True))
    elif isinstance(kind, type) and _is_of(kind, value):
        return value
    elif origin is not None and issubclass(origin, Mapping) and isinstance(value, dict):
        return {
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items()
        }
    raise UserError(f"`{key}` must be {_name(kind)}. Received: {value!r}.")


def _is_of(kind: type, value: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def with_defaults(kept: dict, config: Any) -> dict:
    """Returns a plain configuration of an earlier version with today's further keys.

    Args:
        kept: As `to_plain` gave it then.
        config: The dataclass of today; what `kept` lacks gets the field's default, not its value.
    """
    filled = dict(kept)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in kept:
            if field.default is not dataclasses.MISSING:
                filled[field.name] = _plain(field.default)
            elif field.default_factory is not dataclasses.MISSING:
                filled[field.name] = _plain(field.default_factory())
        elif dataclasses.is_dataclass(value) and isinstance(kept[field.name], dict):
            filled[field.name] = with_defaults(kept[field.name], value)
    return filled


def keys(config: Any, prefix: str = "") -> list[str]:
    """Lists every key that `apply_overrides` knows, in order."""
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if hasattr(value, "replace_options"):
            found += [f"{prefix}{field.name}.{name}" for name in ("name", *value.options)]
        elif dataclasses.is_dataclass(value):
            found += keys(value, f"{prefix}{field.name}.")
        else:
            found.append(f"{prefix}{field.name}")
    return found


def _replace(config, changes: list[tuple[list[str], str]], prefix: str, whole: Any):
    """Applies all changes of a section at once, so that their order does not matter."""
    values: dict[str, Any] = {}
    inner: dict[str, list[tuple[list[str], str]]] = {}
    options: dict[str, dict[str, str]] = {}
    kinds = typing.get_type_hints(type(config))
    for (name, *rest), text in changes:
        key = ".".join([prefix + name, *rest])
        if name not in {field.name for field in dataclasses.fields(config)}:
            raise UserError(_unknown(whole, key))
        current = getattr(config, name)
        if rest and hasattr(current, "replace_options"):
            options.setdefault(name, {})[".".join(rest)] = text
            continue
        if rest and not dataclasses.is_dataclass(current):
            raise UserError(f"`{key}`: `{name}` has no parts.")
        if rest:
            inner.setdefault(name, []).append((rest, text))
        elif dataclasses.is_dataclass(current):
            parts = ", ".join(field.name for field in dataclasses.fields(current))
            raise UserError(f"`{key}` is a section; set one of its parts: {parts}.")
        else:
            values[name] = _parse(text, kinds[name], key)
    for name, parts in inner.items():
        values[name] = _replace(getattr(config, name), parts, f"{prefix}{name}.", whole)
    for name, assignments in options.items():
        values[name] = getattr(config, name).replace_options(assignments)
    return dataclasses.replace(config, **values)


def _unknown(config, key: str) -> str:
    """Names the keys nearest to an unknown one: the same last part, in the same section first."""
    full = keys(config)
    section, _, name = key.rpartition(".")
    near = sorted(
        (k for k in full if k.rpartition(".")[2] == name),
        key=lambda k: not k.startswith(section),
    )
    near += difflib.get_close_matches(key, full, n=3, cutoff=0.6)
    near = list(dict.fromkeys(near))[:3]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"Unknown key `{key}`.{hint}"


def _parse(text: str, kind: Any, key: str) -> Any:
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if type(None) in options and text.lower() == "none":
            return None
        return _first(_parse_text, [k for k in options if k is not type(None)], text, key)
    if origin is tuple:
        items = [item.strip() for item in text.strip("()[]").split(",") if item.strip()]
        if Ellipsis not in options and len(items) != len(options):
            raise UserError(f"`{key}` takes {len(options)} values. Received: {text!r}.")
        types_ = [options[0]] * len(items) if Ellipsis in options else options
        return tuple(_parse(item, t, key) for item, t in zip(items, types_, strict=True))
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
    elif kind in (int, float, str):
        try:
            return kind(text)
        except ValueError:
            pass
    raise UserError(f"`{key}` must be {_name(kind)}. Received: {text!r}.")


def _parse_text(kind: Any, text: str, key: str) -> Any:
    return _parse(text, kind, key)


def _first(convert, kinds, value: Any, key: str) -> Any:
    """What the first of several types makes of a value."""
    for kind in kinds:
        try:
            return convert(kind, value, key)
        except UserError as error:
            if len(kinds) == 1:  # it knows best what is wrong
                raise error
    words = " or ".join(map(_name, kinds))
    raise UserError(f"`{key}` must be {words}. Received: {value!r}.")


def _name(kind) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, str(kind))
