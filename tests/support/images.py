"""Pictures for tests of a few seconds."""

import io
import tarfile
from pathlib import Path

from PIL import Image


def write_images(path: Path, *, bad: int, count: int = 40) -> bytes:
    """A WebDataset tar of two classes, whose first `bad` pictures are none."""
    with tarfile.open(path, "w") as tar:
        for index in range(count):
            picture = io.BytesIO()
            Image.new("L", (8, 8), index * 5).save(picture, "png")
            content = b"not a picture" if index < bad else picture.getvalue()
            for name, data in ((f"{index:03}.png", content), (f"{index:03}.cls", str(index % 2).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path.read_bytes()
