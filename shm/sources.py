"""Where settings come from: a TOML file, the environment, and what stands in below both.

Reading gives the tree and its origin: the file, the variables that were used, and for every value
that is no default the source that set it. The origin is published together with the settings, so
that whoever reads them anew reads the same things.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from shm.errors import ConfigError
from shm.limits import with_preset
from shm.origin import Origin
from shm.settings import Settings

ENV_PREFIX = "POLYTRIO__"
DEFAULT_FILE = Path("polytrio.toml")
ALIASES = {
    "ENGINE_MODE": "engine.mode",
    "SOCKET_MODE": "ingest.socket",
    "EXECUTION_MODE": "execution",
}
"""Plain names of variables for the three modes."""
RENAMED = {"mode": "execution", "engine.kernel": "engine.mode"}
"""What keys of earlier versions are called now."""
PRESET = "preset"
FILE = "file"
DERIVED = "derived"
"""Sources, beside the names of variables: a preset of shm/limits.py, the file, and what whoever
started the system filled in."""

ReadFile = Callable[[Path], str]


def plainly(path: Path) -> str:
    """The text of a file."""
    return path.read_text("utf-8")


class Loaded(NamedTuple):
    """A tree and its origin."""

    settings: Settings
    origin: Origin


def read(
    path: Path | None,
    environment: Mapping[str, str] | None = None,
    read_file: ReadFile = plainly,
) -> Loaded:
    """Read a file (or polytrio.toml here, or none) and the environment; `ConfigError` if bad.

    On the simulated exchange `SIM_PRESET` takes the place of some defaults.
    A path that was asked for must exist; the default file may be absent.
    """
    used = _used(os.environ if environment is None else environment)
    return _load(path or DEFAULT_FILE, used, read_file, must_exist=path is not None)


def named_instance(
    path: Path | None, environment: Mapping[str, str], read_file: ReadFile = plainly
) -> str | None:
    """The system's name, whatever is wrong with all other settings; None if nobody can say it."""
    variable = f"{ENV_PREFIX}INSTANCE"
    try:
        tree = _tree_of(path or DEFAULT_FILE, read_file, must_exist=path is not None) or {}
    except ConfigError:
        tree = {"instance": None}
    if variable in environment:
        _override(tree, variable, environment[variable])
    name = tree.get("instance", Settings().instance)
    return name if isinstance(name, str) else None


def read_again(origin: Origin, read_file: ReadFile = plainly) -> Loaded:
    """Read what an earlier tree was made from once more; a file that is gone is an error."""
    if not origin.file:
        raise ConfigError("the settings of this system come from no file: start it again instead")
    must_exist = origin.asked or origin.found
    again = _load(Path(origin.file), origin.environment, read_file, must_exist=must_exist)
    return Loaded(again.settings, msgspec.structs.replace(again.origin, asked=origin.asked))


def _load(path: Path, used: Mapping[str, str], read_file: ReadFile, *, must_exist: bool) -> Loaded:
    tree = _tree_of(path, read_file, must_exist=must_exist)
    source_of = dict.fromkeys(flat(tree or {}), FILE)
    found = tree is not None
    tree = tree or {}
    for name, value in used.items():
        _override(tree, name, value)
        source_of[key_of(name)] = name
    _require_present_names(tree, path)
    whole = with_preset(tree)
    try:
        settings = msgspec.convert(whole, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), path)) from None
    preset = dict.fromkeys(flat(whole).keys() - source_of.keys(), PRESET)
    origin = Origin(str(path.absolute()), found, must_exist, dict(used), preset | source_of)
    return Loaded(settings, origin)


def derived(loaded: Loaded, final: Settings) -> Loaded:
    """A tree into which addresses and the like were filled after reading, and its origin."""
    before, after = values(loaded.settings), values(final)
    filled = {key: before[key] for key in after if before[key] != after[key]}
    said = loaded.origin.source_of
    open_keys = [key for key, value in filled.items() if not value or key not in said]
    origin = msgspec.structs.replace(
        loaded.origin,
        source_of={**said, **dict.fromkeys(open_keys, DERIVED)},
        filled={**filled, **loaded.origin.filled},
    )
    return Loaded(final, origin)


# --- trees as lists -----------------------------------------------------------------------------


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of tables as `table.key` -> value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= {f"{key}.{below}": one for below, one in flat(value).items()}
        else:
            found[key] = value
    return found


def values(settings: Settings) -> dict[str, Any]:
    """Every key of a tree and its value."""
    return flat(msgspec.to_builtins(settings))


def with_values(settings: Settings, changed: Mapping[str, Any]) -> Settings:
    """The tree with other values under some keys."""
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    for key, value in changed.items():
        table, _, last = key.rpartition(".")
        (tree[table] if table else tree)[last] = value
    return msgspec.convert(tree, Settings)


def key_of(variable: str) -> str:
    """The key that an environment variable sets."""
    if variable in ALIASES:
        return ALIASES[variable]
    return variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")


# --- reading ------------------------------------------------------------------------------------


def _used(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that set something; `ConfigError` if two set the same key differently."""
    used: dict[str, str] = {}
    by_key: dict[str, str] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(ENV_PREFIX) and name not in ALIASES:
            continue
        other = by_key.setdefault(key_of(name), name)
        if environment[other] != value:
            raise ConfigError(
                f"environment: {other}={environment[other]} and {name}={value} contradict each "
                "other: unset one of them"
            )
        used[name] = value
    return used


def _tree_of(path: Path, read_file: ReadFile, *, must_exist: bool) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_file(path))
    except FileNotFoundError:
        if not must_exist:
            return None
        raise ConfigError(f"no settings file {path}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _override(tree: dict[str, Any], name: str, value: str) -> None:
    keys = key_of(name).split(".")
    table = tree
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"environment variable {name}: {key!r} is not a table")
    try:
        table[keys[-1]] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[keys[-1]] = value  # a bare word is a string


def _require_present_names(tree: Mapping[str, Any], path: Path) -> None:
    for old, new in RENAMED.items():
        table, _, last = old.rpartition(".")
        below = tree.get(table, {}) if table else tree
        if isinstance(below, dict) and last in below:
            raise ConfigError(f"settings ({path} and environment): `{old}` is called `{new}` now")


def _explain(message: str, path: Path) -> str:
    """Msgspec's message with the file in front and the allowed keys behind."""
    where = f"{path} and environment"
    if "unknown field" not in message:
        return f"settings ({where}): {message}"
    wrong = message.split("`")[1]
    section: Any = Settings
    if " - at `$." in message:
        section = _section_of(message.rsplit("`$.", 1)[1].rstrip("`"))
    allowed = [field.name for field in msgspec.structs.fields(section)]
    close = difflib.get_close_matches(wrong, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"settings ({where}): {message}; {hint}allowed: {', '.join(allowed)}"


def _section_of(name: str) -> Any:
    return next(f.type for f in msgspec.structs.fields(Settings) if f.name == name)
