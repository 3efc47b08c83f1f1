"""Image files of every kind, whole and damaged, checked against the arrays that they were made of."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_template.engine.files.image_files import decode

GREY = np.array([[0, 100], [200, 255]], np.uint8)


def cmyk() -> Image.Image:
    return Image.merge("CMYK", [Image.fromarray(255 - GREY)] * 3 + [Image.new("L", (2, 2), 0)])


def palette() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    image.putpalette(np.repeat(GREY.flatten(), 3).tobytes())
    return image


def half_transparent() -> Image.Image:
    """Black under less and less opacity over white is the grey that is wanted."""
    return Image.merge("LA", [Image.new("L", (2, 2), 0), Image.fromarray(255 - GREY)])


KINDS: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "grey": (lambda: Image.fromarray(GREY), "png"),
    "RGB": (lambda: Image.fromarray(GREY).convert("RGB"), "png"),
    "16 bits": (lambda: Image.fromarray(GREY.astype(np.uint16) * 257), "png"),
    "16 bits, TIFF": (lambda: Image.fromarray(GREY.astype(">u2") * 257), "tif"),
    "32 bits of 16": (lambda: Image.fromarray(GREY.astype(np.int32) * 257), "tif"),
    "palette": (palette, "png"),
    "animation": (lambda: Image.fromarray(GREY), "gif"),
    "transparent": (half_transparent, "png"),
    "transparent, RGBA": (lambda: half_transparent().convert("RGBA"), "webp"),
    "CMYK": (cmyk, "tif"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_becomes_bytes(kind: str, channels: int, tmp_path: Path) -> None:
    image, suffix = KINDS[kind]
    image().save(tmp_path / f"image.{suffix}", lossless=True)  # which only WebP knows
    decoded = decode(tmp_path / f"image.{suffix}", (channels, 2, 2))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (channels, 2, 2)
    np.testing.assert_allclose(decoded.astype(int), np.broadcast_to(GREY, (channels, 2, 2)), atol=1)


def test_colours_stay_colours_and_become_grey_by_luminance(tmp_path: Path) -> None:
    Image.new("RGB", (2, 3), (200, 100, 50)).save(tmp_path / "image.bmp")
    for size in ((3, 2), (3, 5), (4, 2)):  # stretched, unless asked otherwise
        assert (decode(tmp_path / "image.bmp", (3, *size)) == np.array([200, 100, 50])[:, None, None]).all()
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50  # ITU-R 601
    np.testing.assert_allclose(decode(tmp_path / "image.bmp", (1, 3, 2)), grey, atol=1)


@pytest.mark.parametrize(("values", "expected"), [((0, 65535), (0, 255)), ((256, 256), (1, 1)), ((513, 700), (2, 2))])
def test_the_upper_of_two_bytes_is_kept(values: list[int], expected: list[int], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], np.int32)).save(tmp_path / "image.tif")
    assert decode(tmp_path / "image.tif", (1, 1, 2)).tolist() == [[[*expected]]]


@pytest.mark.parametrize("values", [(0, 65536), (-1, 65535), (70000, 70000)])
def test_more_than_two_bytes_are_refused(values: tuple[int, int], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], np.int32)).save(tmp_path / "image.tif")
    with pytest.raises(ValueError, match=f"its values must lie in 16 bits, got {values[0]} to {values[1]}"):
        decode(tmp_path / "image.tif", (1, 1, 2))


def test_a_cameras_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: to be shown turned by 90 degrees clockwise
    pixels = np.zeros((64, 96), np.uint8)
    pixels[:32, :48] = 255
    Image.fromarray(pixels).save(tmp_path / "image.JPG", format="JPEG", exif=exif)
    decoded = decode(tmp_path / "image.JPG", (1, 96, 64))[0]
    np.testing.assert_allclose(decoded.astype(int), np.rot90(pixels, -1).astype(int), atol=3)


def test_resizing_keeps_the_mean(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8)
    for suffix in ("png", "jpg"):
        Image.fromarray(pixels).save(tmp_path / f"image.{suffix}")
        small = decode(tmp_path / f"image.{suffix}", (1, 3, 4))
        expected = pixels.reshape(3, 100, 4, 100).mean((1, 3))
        np.testing.assert_allclose(small[0], expected, atol=8)  # noise without antialiasing would be off by 70


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_a_flipped_bit_in_a_png_changes_no_pixel(tmp_path: Path) -> None:
    whole, path = png(), tmp_path / "image.png"
    path.write_bytes(whole)
    expected = decode(path, (3, 6, 5))
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(decode(path, (3, 6, 5)), expected)
        except ValueError:
            refused += 1
    assert refused >= len(whole) - 12  # the last chunk has no content


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "png", "ppm", "tif", "webp"])
def test_an_image_that_is_cut_off_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.open(io.BytesIO(png())).save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 20, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"image.{suffix} cannot be read as an image: "):
            decode(path, (3, 6, 5))


def claiming(width: int, height: int) -> bytes:
    """Return a PNG file whose header says that it is of another size."""
    header = struct.pack(">4sII", b"IHDR", width, height) + png()[24:29]
    return png()[:12] + header + struct.pack(">I", zlib.crc32(header)) + png()[33:]


@pytest.mark.filterwarnings("ignore:Image size")  # as the command line does
@pytest.mark.parametrize("size", [(8193, 8192), (13000, 13000), (20000, 20000), (1, 2**27)])
def test_too_many_pixels_are_not_decoded(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(claiming(*size))
    numbers = f"({size[0]} x {size[1]} pixels are more than 67108864|{size[0] * size[1]} pixels)"
    with pytest.raises(ValueError, match=f"bomb.png cannot be read as an image: .*{numbers}"):
        decode(tmp_path / "bomb.png", (1, 2, 2))


def test_pixels_count_as_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_template.engine.files.image_files.MAX_PIXELS", 64 * 64 - 1)
    for suffix in ("png", "jpg"):
        Image.new("L", (64, 64), 100).save(tmp_path / f"image.{suffix}")
    assert (decode(tmp_path / "image.jpg", (1, 4, 4)) == 100).all()  # as 8 x 8 pixels
    with pytest.raises(ValueError, match="64 x 64 pixels are more than 4095"):
        decode(tmp_path / "image.png", (1, 4, 4))
    monkeypatch.setattr("lightning_template.engine.files.image_files.MAX_PIXELS", 64 * 64)
    assert (decode(tmp_path / "image.png", (1, 4, 4)) == 100).all()
