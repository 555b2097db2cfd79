"""Files appear whole or not at all: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ...models import InputError
from ...models.errors import Place


def save_folder(path: Path) -> Path:
    """The folder to save in, made if need be. Raises InputError if it cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (
            "a file stands in its way" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
        )
        raise InputError(f"cannot save in this folder: {reason}", place=Place(path)) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError("cannot save in this folder: no permission to write", place=Place(path))
    return path


def new_file(path: Path) -> Path:
    """A path at which nothing stands yet, in a folder that does. Raises InputError."""
    if path.exists() or path.is_symlink():
        raise InputError("this file exists; it is not overwritten", place=Place(path), help="name a new file")
    if not path.parent.is_dir():
        raise InputError("there is no such folder", place=Place(path.parent))
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a file atomically. A link at `path` is replaced, not followed."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write the file: {error.strerror}", place=Place(path)) from None
    return path
