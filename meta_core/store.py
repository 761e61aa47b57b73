"""The object store, the only truth: a folder, or s3://, gs://, az:// by URL."""

import contextlib
import datetime
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

import obstore
import obstore.store
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.exceptions import NotFoundError as MissingObject

from meta_core import metrics
from meta_core.errors import InvalidParameter, NotFound, Unavailable
from meta_core.tracing import traced


class Store:
    """Whole objects under keys. What `create` and `replace` have returned from survives a power cut.

    Keys come from `meta_core.ids`. Raises `NotFound` for a missing object and `Unavailable` when the store fails.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._folder: Path | None = None
        if parts.scheme in ("", "file"):
            self._folder = Path(parts.path if parts.scheme else url).expanduser().absolute()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._objects: obstore.store.ObjectStore = obstore.store.LocalStore(self._folder)
        else:
            try:
                self._objects = obstore.store.from_url(url)
            except (BaseError, ValueError) as error:
                raise InvalidParameter(f"{url!r} is no store: {_reason(error)}") from None

    @traced("store put")
    def create(self, key: str, content: bytes) -> bool:
        """Put an object unless there is one; says whether this call put it. Of several at once, one wins."""
        try:
            if self._folder is not None:
                return _link_new(self._folder / key, content)
            obstore.put(self._objects, key, content, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise failure("put", f"the store did not take {key}: {_reason(error)}") from None
        return True

    @traced("store put")
    def replace(self, key: str, content: bytes) -> None:
        """Put an object in the place of whatever is there."""
        try:
            if self._folder is not None:
                _move_over(self._folder / key, content)
            else:
                obstore.put(self._objects, key, content)
        except (BaseError, OSError) as error:
            raise failure("put", f"the store did not take {key}: {_reason(error)}") from None

    @traced("store put")
    def replace_file(self, key: str, path: Path) -> None:
        """Put the content of a file, which need not fit into memory, in the place of whatever is there."""
        try:
            if self._folder is not None:
                with path.open("rb") as source:
                    _move_over(self._folder / key, source)
            else:
                obstore.put(self._objects, key, path)  # in parts, if it is large
        except (BaseError, OSError) as error:
            raise failure("put", f"the store did not take {key}: {_reason(error)}") from None

    @contextmanager
    def as_file(self, key: str) -> Iterator[Path]:
        """An object as a file to read: the very file of a folder, else a copy for as long as it is needed."""
        if self._folder is not None:
            if not (self._folder / key).is_file():
                raise NotFound(f"there is no object {key}")
            yield self._folder / key
            return
        with tempfile.TemporaryDirectory(prefix="shotput-") as folder:
            path = Path(folder) / "object"
            try:
                with path.open("wb") as file:
                    for chunk in obstore.get(self._objects, key).stream():
                        file.write(chunk)
            except (MissingObject, FileNotFoundError):
                raise NotFound(f"there is no object {key}") from None
            except (BaseError, OSError) as error:
                raise failure("get", f"the store did not give {key}: {_reason(error)}") from None
            yield path

    def untouched(self, folder: str, since: datetime.timedelta) -> Iterator[str]:
        """Keys below a folder that nobody wrote for so long, interrupted writes among them."""
        latest = datetime.datetime.now(datetime.UTC) - since
        try:
            for chunk in obstore.list(self._objects, folder.rstrip("/") + "/", chunk_size=1000):
                yield from (entry["path"] for entry in chunk if entry["last_modified"] < latest)
        except (BaseError, OSError) as error:
            raise failure("list", f"the store did not list {folder}: {_reason(error)}") from None

    @traced("store get")
    def get(self, key: str) -> bytes:
        """The whole object."""
        try:
            if self._folder is not None:
                return (self._folder / key).read_bytes()
            return bytes(obstore.get(self._objects, key).bytes())
        except (MissingObject, FileNotFoundError):
            raise NotFound(f"there is no object {key}") from None
        except (BaseError, OSError) as error:
            raise failure("get", f"the store did not give {key}: {_reason(error)}") from None

    @traced("store get")
    def head(self, key: str, length: int) -> bytes:
        """At most the first `length` bytes of an object."""
        try:
            if self._folder is not None:
                with (self._folder / key).open("rb") as file:
                    return file.read(length)
            return bytes(obstore.get_range(self._objects, key, start=0, length=length))
        except (MissingObject, FileNotFoundError):
            raise NotFound(f"there is no object {key}") from None
        except (BaseError, OSError) as error:
            raise failure("get", f"the store did not give {key}: {_reason(error)}") from None

    @traced("store head")
    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            if self._folder is not None:
                return (self._folder / key).is_file()
            obstore.head(self._objects, key)
        except (MissingObject, FileNotFoundError):
            return False
        except (BaseError, OSError) as error:
            raise failure("head", f"the store did not answer for {key}: {_reason(error)}") from None
        return True

    @traced("store delete")
    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        try:
            if self._folder is not None:
                (self._folder / key).unlink(missing_ok=True)
            else:
                obstore.delete(self._objects, key)
        except (MissingObject, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise failure("delete", f"the store did not delete {key}: {_reason(error)}") from None

    def keys(self, folder: str) -> Iterator[str]:
        """Keys below a folder, in no order that may be relied on."""
        try:
            for chunk in obstore.list(self._objects, folder.rstrip("/") + "/", chunk_size=1000):
                yield from (entry["path"] for entry in chunk if not entry["path"].endswith(PARTIAL))
        except (BaseError, OSError) as error:
            raise failure("list", f"the store did not list {folder}: {_reason(error)}") from None

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """Keys below a folder with the bytes of each, in no order that may be relied on."""
        try:
            for chunk in obstore.list(self._objects, folder.rstrip("/") + "/", chunk_size=1000):
                yield from ((entry["path"], entry["size"]) for entry in chunk if not entry["path"].endswith(PARTIAL))
        except (BaseError, OSError) as error:
            raise failure("list", f"the store did not list {folder}: {_reason(error)}") from None

    def folders(self) -> list[str]:
        """Names of the folders at the top."""
        try:
            return sorted(obstore.list_with_delimiter(self._objects)["common_prefixes"])
        except (BaseError, OSError) as error:
            raise failure("list", f"the store did not list its folders: {_reason(error)}") from None

    def check(self) -> None:
        """Raises `Unavailable` unless the store takes and gives back an object."""
        key = f"checks/{secrets.token_hex(8)}"
        self.create(key, b"ok")
        self.delete(key)


def failure(operation: str, detail: str) -> Unavailable:
    """The error for an operation that the store failed, counted."""
    metrics.STORE_ERRORS.labels(operation).inc()
    return Unavailable(detail)


PARTIAL = ".partial"


def _reason(error: Exception) -> str:
    """What went wrong, without the answers of servers that obstore tells on further lines."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _link_new(path: Path, content: bytes) -> bool:
    """A file that appears whole or not at all, and only where none is; on disk before this returns."""
    partial = _written(path, content)
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(partial)
    _sync_folder(path)
    return True


def _move_over(path: Path, content: bytes | IO[bytes]) -> None:
    os.replace(_written(path, content), path)
    _sync_folder(path)


def _written(path: Path, content: bytes | IO[bytes]) -> str:
    """A file beside the path, on disk."""
    partial = f"{path}.{secrets.token_hex(8)}{PARTIAL}"
    try:
        with _created(partial) as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise
    return partial


def _created(path: str) -> BinaryIO:
    try:
        return open(path, "xb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "xb")


def _sync_folder(path: Path) -> None:
    """Make the entry of a file in its folder last."""
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
