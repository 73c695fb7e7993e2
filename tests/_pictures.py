"""Pictures as people have them: the same few drawings, stored in every way that a reader must undo."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square")
# What a camera stores of an upright picture, by the orientation that it writes beside it.
STORED = {
    1: (),
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_270,),
}


def shape(name: str, size: tuple[int, int] = (48, 40), shift: int = 0) -> Image.Image:
    """A drawing in grey, dark on white."""
    picture = Image.new("L", size, 255)
    draw, box = ImageDraw.Draw(picture), (8 + shift, 6, 32 + shift, 30)
    if name == "circle":
        draw.ellipse(box, fill=20)
    elif name == "square":
        draw.rectangle(box, fill=60)
    else:
        draw.line((box[0], box[1], box[2], box[3]), fill=0, width=5)
        draw.line((box[0], box[3], box[2], box[1]), fill=100, width=5)
    return picture


def arrow(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A coloured drawing that no turn and no flip leaves as it is."""
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((4, 20, 40, 27), fill="navy")
    draw.polygon([(40, 10), (60, 24), (40, 38)], fill="red")
    draw.rectangle((4, 2, 14, 8), fill="green")
    return picture


def sixteen_bits(grey: Image.Image) -> Image.Image:
    """The same grey values in 16 bits."""
    return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)


def alpha_only(grey: Image.Image) -> Image.Image:
    """A black icon whose shape is in alpha alone: on white it is the drawing."""
    icon = Image.new("RGBA", grey.size, "black")
    icon.putalpha(Image.fromarray(255 - np.asarray(grey)))
    return icon


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def as_stored(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a camera stores."""
    for turn in STORED[orientation]:
        upright = upright.transpose(turn)
    return upright


def file_of(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def png(rows: list[bytes], width: int, depth: int, colour: int, key: bytes) -> bytes:
    """A PNG file by hand, with a colour key (tRNS), of depths that Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = ((b"IHDR", header), (b"tRNS", key), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
