"""Members of tar files, which have paths of their own and are read in place."""

import re
import tarfile
import zlib
from dataclasses import dataclass

from craft.errors import Problem

REMEDY = "copy the shard again, or pack the dataset again with craft pack"
_PATH = re.compile(r"(?P<shard>.+\.tar):(?P<start>[0-9]+)\+(?P<bytes>[0-9]+)~(?P<sum>[0-9]+):(?P<name>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a shard."""

    shard: str  # path of the tar file
    start: int  # offset of the member's header, bytes
    num_bytes: int  # of its content, which follows the header
    checksum: int  # CRC-32 of its content
    name: str = ""  # also in the header

    def __str__(self) -> str:
        """The member as a path that `parse_member` reads."""
        return f"{self.shard}:{self.start}+{self.num_bytes}~{self.checksum}:{self.name}"


def parse_member(path: str) -> Member | None:
    """The member of a shard that a path names; None if it is the path of a file."""
    match = _PATH.fullmatch(path) if ".tar:" in path else None
    if match is None:
        return None
    return Member(match["shard"], int(match["start"]), int(match["bytes"]), int(match["sum"]), match["name"])


def read_member(member: Member) -> bytes:
    """Read the content of a member. Raises ValueError if the shard is missing or truncated, or holds other bytes."""
    try:
        with open(member.shard, "rb") as file:
            file.seek(member.start)
            block = file.read(tarfile.BLOCKSIZE + member.num_bytes)
    except OSError as error:
        raise Problem(f"cannot be read ({error.strerror})", REMEDY, where=member.shard) from None
    content = block[tarfile.BLOCKSIZE :]
    try:
        header = tarfile.TarInfo.frombuf(block[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
        name, size = header.name, header.size
    except tarfile.HeaderError:
        name, size = member.name or f"at byte {member.start}", -1
    if len(content) < member.num_bytes:
        fault = f"the shard is truncated after {len(content)} of its {member.num_bytes} bytes"
    elif size != member.num_bytes or zlib.crc32(content) != member.checksum:
        fault = "its bytes are not those that were packed"
    else:
        return content
    raise Problem(f"member {name}: {fault}", REMEDY, where=member.shard)
