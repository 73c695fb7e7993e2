"""Any picture file becomes upright RGB: nothing is clipped, dropped or lying on its side without a word."""

import io
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from _pictures import STORED, alpha_only, arrow, as_stored, exif, file_of, opened, png, shape, sixteen_bits
from PIL import Image, ImageMode, TiffImagePlugin

from gcvit_edu.data import load_photo, upright_rgb
from gcvit_edu.data.imagenet.encoded import EncodedImage
from gcvit_edu.data.transforms import orientation_of

GREY = shape("cross")


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


# -------------------------------------------------------------------------------------------------- what stays


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *((mode, "JPEG") for mode in ("RGB", "L", "CMYK")),
        *((mode, "PNG") for mode in ("RGB", "L", "P", "1")),
        *((mode, "TIFF") for mode in ("RGB", "L", "P", "1", "CMYK", "YCbCr", "LAB")),
        *(("RGB", form) for form in ("BMP", "GIF", "WEBP", "PPM", "JPEG2000")),
    ],
)
def test_opaque_pictures_of_8_bits_are_as_ever(mode: str, form: str) -> None:
    file = file_of(load_photo("coffee").resize((60, 40)).convert(mode), form)
    assert same(upright_rgb(opened(file)), opened(file).convert("RGB"))
    assert same(upright_rgb(opened(file), turn=False), opened(file).convert("RGB"))


def test_adobes_inverted_cmyk_looks_like_the_picture() -> None:
    photo = load_photo("coffee").resize((60, 40))
    found = upright_rgb(opened(file_of(photo.convert("CMYK"), "JPEG", quality=95)))
    assert np.abs(np.asarray(found).astype(int) - np.asarray(photo).astype(int)).mean() < 8


MODES = sorted({"1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "La", "RGBX", "RGBa"})


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_of_pillow_shows_the_drawing(mode: str) -> None:
    """Two of its modes are made by way of another; that is Pillow's matter."""
    by = {"La": ["LA"], "RGBa": ["RGBA"], "PA": ["P"]}.get(mode, [])
    picture = GREY.convert("RGB")
    for each in (*by, mode):
        picture = picture.convert(each)
    found = np.asarray(upright_rgb(picture)).astype(int)
    limit = 255 if mode == "1" else 6  # 1 bit mixes black and white dots
    assert np.median(np.abs(found - np.asarray(GREY.convert("RGB")).astype(int))) <= 2
    assert (np.abs(found - np.asarray(GREY.convert("RGB")).astype(int)) <= limit).all()


def test_no_mode_of_pillow_is_forgotten() -> None:
    refused_or_16_bits = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
    known = {mode for mode in (*MODES, *refused_or_16_bits) if ImageMode.getmode(mode)}
    assert known == {*MODES, *refused_or_16_bits}
    for mode in known - set(MODES) - {"I", "F"}:
        assert upright_rgb(Image.new(mode, (2, 2), 30000)).getpixel((0, 0)) == (117,) * 3, mode


def test_the_picture_that_was_given_stays() -> None:
    for file in (file_of(arrow(), "JPEG", exif=exif(6)), file_of(alpha_only(GREY)), png([b"\x1b"], 4, 2, 0, b"\0\1")):
        with opened(file) as given:
            before = given.mode, given.size, dict(given.info)
            upright_rgb(given)
            assert (given.mode, given.size, dict(given.info)) == before


# ---------------------------------------------------------------------------------------------------- 16 bits


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_of_grey_are_scaled(form: str) -> None:
    options = {"irreversible": False} if form == "JPEG2000" else {}
    found = upright_rgb(opened(file_of(sixteen_bits(GREY), form, **options)))
    assert same(found, GREY.convert("RGB"))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
@pytest.mark.parametrize("factor", [256, 257])
def test_both_orders_of_bytes_and_both_ways_to_scale_up_are_undone(order: str, factor: int) -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    mode = "I;16B" if order == ">u2" else "I;16"
    picture = Image.frombytes(mode, (16, 16), (values * factor).astype(order).tobytes())
    assert np.array_equal(np.asarray(upright_rgb(picture))[..., 0], values)


def tiff(values: np.ndarray, **tags: object) -> bytes:
    """A grey TIFF with tags of one's own."""
    picture = Image.fromarray(values)
    entries = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        entries[int(name.removeprefix("tag_"))] = value
    return file_of(picture, "TIFF", tiffinfo=entries)


def test_a_tiff_whose_0_is_white_is_turned_round() -> None:
    grey = np.asarray(GREY).astype(np.uint16)
    found = upright_rgb(opened(tiff(65535 - 257 * grey, tag_262=0)))
    assert same(found, GREY.convert("RGB"))


def test_twelve_bits_have_their_own_range() -> None:
    """Packed, three bytes for two pixels, as Pillow reads them; it does not write them."""
    values = np.array([[0, 1000, 4095, 2048]])
    packed = b"".join(struct.pack(">I", a << 12 | b)[1:] for a, b in values.reshape(-1, 2).tolist())
    rows = [(256, 4, 4), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 0), (277, 3, 1), (278, 4, 1)]
    rows += [(279, 4, len(packed))]
    start = 8 + 2 + 12 * len(rows) + 4
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", start if tag == 273 else value)
        for tag, kind, value in rows
    )
    file = b"II*\0" + struct.pack("<IH", 8, len(rows)) + entries + b"\0\0\0\0" + packed
    assert np.asarray(upright_rgb(opened(file)))[..., 0].tolist() == [[0, 62, 255, 128]]


def test_16_bits_of_colour_are_pillows() -> None:
    values = np.asarray(arrow()).astype(">u2") * 257
    file = png([row.tobytes() for row in values], 64, 16, 2, struct.pack(">HHH", 1, 2, 3))
    assert same(upright_rgb(opened(file)), arrow())


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (file_of(Image.new("F", (3, 3), 0.5), "TIFF"), "mode F, floats"),
        (file_of(Image.new("I", (3, 3), 9), "TIFF"), "mode I, 32 bits or signed numbers"),
        (tiff(np.full((3, 3), 9, np.uint16), tag_339=2), "mode I, 32 bits or signed numbers"),
        (tiff(np.full((3, 3), 9, np.uint8), tag_339=2), "mode L, signed numbers"),
    ],
)
def test_what_has_no_range_is_refused_by_name(file: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"{words}, has no range .*save it with 8 or 16 bits"):
        upright_rgb(opened(file))
    with pytest.raises(ValueError, match=f"the picture scan.tif cannot be read .*{words}"):
        EncodedImage("scan.tif", file).decode()


# ------------------------------------------------------------------------------------------------- transparency


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La"])
def test_a_shape_that_is_in_alpha_alone_is_seen_on_white(mode: str) -> None:
    icon = alpha_only(GREY)
    icon = icon.convert("LA" if mode == "La" else icon.mode).convert(mode)
    assert np.array_equal(np.asarray(upright_rgb(icon)), np.asarray(GREY.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_of_files_is_put_on_white(form: str) -> None:
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    assert same(upright_rgb(opened(file_of(alpha_only(GREY), form, **options))), GREY.convert("RGB"))


@pytest.mark.parametrize("form", ["PNG", "GIF"])
@pytest.mark.parametrize("transparency", [0, bytes([0])])
def test_a_transparent_colour_of_a_palette_becomes_white(form: str, transparency: int | bytes) -> None:
    if form == "GIF" and isinstance(transparency, bytes):
        return  # GIF has no such thing
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.putpixel((1, 1), 0)
    found = upright_rgb(opened(file_of(palette, form, transparency=transparency)))
    assert found.getpixel((1, 1)) == (255, 255, 255)
    assert found.getpixel((0, 0)) == (200, 10, 10)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (1, 0, bytes([0b01000000]), struct.pack(">H", 0), [255, 255, 255, 255]),
        (1, 0, bytes([0b01000000]), struct.pack(">H", 1), [0, 255, 0, 0]),
        (2, 0, bytes([0b00011011]), struct.pack(">H", 1), [0, 255, 170, 255]),
        (4, 0, bytes([0x01, 0x2F]), struct.pack(">H", 1), [0, 255, 34, 255]),
        (8, 0, bytes([0, 1, 2, 9]), struct.pack(">H", 1), [0, 255, 2, 9]),
        (16, 0, struct.pack(">4H", 0, 256, 512, 9), struct.pack(">H", 256), [0, 255, 2, 0]),
        (8, 2, bytes([0, 0, 0, 1, 1, 1, 2, 2, 2, 9, 9, 9]), struct.pack(">3H", 1, 1, 1), [0, 255, 2, 9]),
        (16, 2, struct.pack(">12H", *[0] * 3, *[300] * 3, *[512] * 3, *[9999] * 3), b"\1\x2c" * 3, [0, 255, 2, 39]),
    ],
)
def test_a_colour_key_is_put_on_white_at_every_depth(
    depth: int, colour: int, row: bytes, key: bytes, expected: list[int]
) -> None:
    found = upright_rgb(opened(png([row], 4, depth, colour, key)))
    assert np.asarray(found)[0, :, 0].tolist() == expected


# -------------------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "MPO", "AVIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_turns_every_kind_of_file(form: str, orientation: int) -> None:
    stored = as_stored(arrow(), orientation)
    options = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": exif(orientation)}
    options |= {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    try:
        found = upright_rgb(opened(file_of(stored, form, **options)))
    except (KeyError, OSError):
        pytest.skip(f"this Pillow has no {form}")
    assert found.size == arrow().size
    error = np.abs(np.asarray(found).astype(int) - np.asarray(arrow()).astype(int)).mean()
    assert error < (6 if form in ("JPEG", "MPO", "AVIF") else 1e-9)
    assert orientation_of(found) == 1
    assert same(upright_rgb(found), found)  # nobody turns it twice


def test_what_is_left_as_stored_keeps_its_orientation() -> None:
    found = upright_rgb(opened(file_of(as_stored(arrow(), 6), "PNG", exif=exif(6))), turn=False)
    assert same(found, as_stored(arrow(), 6))
    assert same(upright_rgb(found), arrow())


def test_orientation_16_bits_and_transparency_go_together() -> None:
    stored = as_stored(sixteen_bits(GREY), 6)
    assert same(upright_rgb(opened(file_of(stored, "PNG", exif=exif(6)))), GREY.convert("RGB"))
    stored = as_stored(alpha_only(GREY), 7)
    assert same(upright_rgb(opened(file_of(stored, "PNG", exif=exif(7)))), GREY.convert("RGB"))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_number_that_is_no_orientation_turns_nothing(orientation: int) -> None:
    assert same(upright_rgb(opened(file_of(arrow(), "PNG", exif=exif(orientation)))), arrow())


def test_damaged_exif_loses_no_picture_and_says_nothing() -> None:
    whole = exif(6).tobytes()
    with warnings.catch_warnings(action="error"):
        for cut in range(1, len(whole)):
            found = upright_rgb(opened(file_of(arrow(), "PNG", exif=whole[:cut])))
            assert same(found, arrow()) or same(found, as_stored(arrow(), 8))


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    for form, options in (("GIF", {}), ("TIFF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        file = file_of(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert upright_rgb(opened(file)).getpixel((4, 4)) == (255, 0, 0), form


def test_it_needs_no_timm() -> None:
    code = "import sys; from gcvit_edu.data.transforms import upright_rgb; assert 'timm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_file_objects_may_close_first() -> None:
    content = file_of(arrow(), "JPEG", exif=exif(6))
    with opened(content) as picture:
        picture.load()
    assert upright_rgb(picture).size == (48, 64)
    assert io.BytesIO(content).read(2) == b"\xff\xd8"
