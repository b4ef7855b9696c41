"""Files that an operator writes, in TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from fleetcron.errors import BadSettings

Written = TypeVar("Written", bound=msgspec.Struct)


def read_toml(path: Path, kind: type[Written]) -> Written:
    """Read a file as what it should say.

    Raises:
        BadSettings: it cannot be read, or holds an unknown key or a wrong value; names the place.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), kind)
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadSettings(str(path), str(error)) from error
    except BadSettings as error:
        raise BadSettings(f"{path}: {error.where}", error.reason) from error
