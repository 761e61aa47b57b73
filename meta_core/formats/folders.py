"""A zip of class folders: images, recordings, series or texts."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from meta_core.archive import DAMAGED, Archive
from meta_core.errors import InvalidDataset
from meta_core.format import Example, Format, Reading, formats
from meta_core.limits import Limits

ENDINGS = {
    "image": {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"},
    "audio": {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"},
    "series": {".npy", ".csv"},
    "text": {".txt"},
}


@formats.register("folders")
class Folders(Format):
    """`class/file` or `any/class/file`: the folder a file lies in is its class; one common root is left out."""

    def __init__(self, path: Path, reading: Reading, limits: Limits) -> None:
        super().__init__(path, reading, limits)
        self.archive = Archive(path, limits)
        members = {member: PurePosixPath(member.filename) for member in self.archive.members}
        if not members:
            raise InvalidDataset([("the archive", "holds no files")])
        roots = {path.parts[0] for path in members.values()}
        skipped = 1 if len(roots) == 1 and all(len(path.parts) > 2 for path in members.values()) else 0
        self.labels = {member: "/".join(path.parts[skipped:-1]) for member, path in members.items()}
        loose = [(member.filename, "lies in no class folder") for member, label in self.labels.items() if not label]
        if loose:
            raise InvalidDataset(loose)

    @classmethod
    def fits(cls, path: Path, head: bytes) -> bool:
        """Any zip; one of arrays is recognised before."""
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and not is_npz(path)

    def modality(self) -> str:
        """By the endings of the names."""
        if self.reading.modality:
            return self.reading.modality
        found = {PurePosixPath(member.filename).suffix.lower(): member.filename for member in self.labels}
        for modality, endings in ENDINGS.items():
            if found.keys() <= endings:
                return modality
        known = set().union(*ENDINGS.values())
        strange = [
            (name, f"is of none of the kinds that are known: {', '.join(sorted(known))}")
            for ending, name in found.items()
            if ending not in known
        ]
        raise InvalidDataset(strange or [("the archive", "holds files of several modalities")])

    def __iter__(self) -> Iterator[Example]:
        """Files in the order of their names, which no packing program changes."""
        for member in sorted(self.labels, key=lambda one: one.filename):
            try:
                content = self.archive.read(member)
            except DAMAGED as error:
                raise InvalidDataset([(member.filename, f"cannot be unpacked: {error}")]) from None
            yield Example(member.filename, content, self.labels[member])


def is_npz(path: Path) -> bool:
    """Whether an archive's first member is an array, as `numpy.savez` writes them."""
    with path.open("rb") as file:
        head = file.read(256)
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return name.endswith(b".npy")
