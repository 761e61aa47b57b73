"""Zip archives from strangers: looked through before anything in them is unpacked."""

import re
import shutil
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO
from zlib import error as ZlibError

from meta_core.errors import InvalidDataset, LimitExceeded
from meta_core.limits import Limits

END, END_64, LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
LONGEST_COMMENT = 65_535
ENTRY = 600
"""Bytes in the directory of an archive that one member may take, its name included."""
IGNORED = re.compile(r"(^|/)(\.(?!\.?(/|$))[^/]*|__MACOSX)(/|$)|(^|/)Thumbs\.db$")
"""What operating systems put beside the files."""
DAMAGED = (zipfile.BadZipFile, ZlibError, EOFError, OSError, NotImplementedError, RuntimeError)
"""What `zipfile` raises for members that cannot be unpacked."""


class Archive:
    """A zip file whose members are plain files within bounds. Raises `InvalidDataset` or `LimitExceeded`."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._check_directory(path, limits)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            raise InvalidDataset([("the archive", f"cannot be read: {error}")]) from None
        self.members = [one for one in self._zip.infolist() if not one.is_dir() and not IGNORED.search(one.filename)]
        self._check_members(limits)

    def _check_directory(self, path: Path, limits: Limits) -> None:
        """Read how large the directory is before it is read: it could fill the memory by itself."""
        size = _directory_size(path)
        if size > limits.max_dataset_members * ENTRY:
            raise LimitExceeded(
                "members of an archive", size // ENTRY, "max_dataset_members", limits.max_dataset_members
            )

    def _check_members(self, limits: Limits) -> None:
        limits.check("members of an archive", len(self.members), "max_dataset_members")
        problems = [(one.filename, problem) for one in self.members if (problem := _problem(one, limits))]
        names = [one.filename for one in self.members]
        problems += [(name, "is in the archive twice") for name in sorted(_repeated(names))]
        if problems:
            raise InvalidDataset(problems)
        total = sum(one.file_size for one in self.members)
        limits.check("bytes once unpacked", total, "max_dataset_unpacked_bytes")

    def read(self, member: zipfile.ZipInfo) -> bytes:
        """The content of a member, its checksum compared. Raises one of `DAMAGED`."""
        with self._zip.open(member) as file:
            return file.read(member.file_size + 1)

    def open(self, name: str) -> IO[bytes]:
        """A member as a stream. Raises `InvalidDataset`."""
        try:
            return self._zip.open(name)
        except (KeyError, *DAMAGED) as error:
            raise InvalidDataset([(name, f"cannot be read: {error}")]) from None


def _problem(member: zipfile.ZipInfo, limits: Limits) -> str | None:
    path, mode = PurePosixPath(member.filename), member.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in path.parts[0]:
        return "leads out of the archive; names are relative, without .."
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or another special file; send the files themselves"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > 1_000_000 and member.file_size > limits.max_dataset_ratio * max(1, member.compress_size):
        ratio = member.file_size // max(1, member.compress_size)
        return f"unpacks to {ratio} times its size; at most {limits.max_dataset_ratio} (setting max_dataset_ratio)"
    return None


def _repeated(names: list[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]


def _directory_size(path: Path) -> int:
    """Bytes of the directory, as the end of the archive says (APPNOTE.TXT 4.3.14 and 4.3.16)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - LONGEST_COMMENT - 22))
        tail = file.read()
        at = tail.rfind(END)
        if at < 0 or len(tail) < at + 22:
            raise InvalidDataset([("the archive", "has no end: it is cut off, or no zip file")])
        directory: int = struct.unpack_from("<L", tail, at + 12)[0]
        locator = tail.rfind(LOCATOR_64, 0, at)
        if locator >= 0 and locator == at - 20:
            file.seek(min(size, struct.unpack_from("<Q", tail, locator + 8)[0]))
            record = file.read(56)
            if record[:4] == END_64 and len(record) == 56:
                directory = struct.unpack_from("<Q", record, 40)[0]
    return directory


def pack_folder(folder: Path, path: Path) -> None:
    """A folder of class folders as an archive; the same files always make the same archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder).as_posix()
            if file.is_file() and not IGNORED.search(name):
                with file.open("rb") as source, archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
