"""8-bit latents as pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taesd_stream.errors import InputError, LatentsError, NonFiniteError
from taesd_stream.latents import open_latents, save_latents
from taesd_stream.latents.formats.png_files import write_png

images = pytest.importorskip("video.images")


def test_a_byte_stands_for_a_value_between_minus_three_and_three(tmp_path):
    picture = np.zeros((2, 3, 4), np.uint8)
    picture[0, 1] = [0, 51, 204, 255]
    images.write_image(tmp_path / "a.png", picture)
    source = open_latents(tmp_path / "a.png")
    assert (source.shape, source.layout, source.dtype) == ((4, 2, 3), "C H W", torch.float32)
    torch.testing.assert_close(source[0][:, 0, 1], torch.tensor([-3, -1.8, 1.8, 3]))


def test_every_byte_survives_the_way_through_latents(tmp_path):
    picture = np.arange(256, dtype=np.uint8).reshape(8, 8, 4)
    images.write_image(tmp_path / "a.png", picture)
    save_latents(tmp_path / "b.png", open_latents(tmp_path / "a.png"))
    assert np.array_equal(images.read_image(tmp_path / "b.png", channels=4), picture)


def test_a_sequence_goes_out_and_in(tmp_path):
    latents = torch.linspace(-4, 4, 3 * 4 * 5 * 6).reshape(3, 4, 5, 6)
    saved = save_latents(tmp_path / "z%03d.png", latents)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["z000.png", "z001.png", "z002.png"]
    assert saved.frames == 3
    assert saved.clipped_values == int((latents.abs() > 3).sum()) > 0
    for place in [tmp_path, tmp_path / "z%03d.png"]:
        source = open_latents(place, channels=4)
        assert (source.shape, source.layout) == ((3, 4, 5, 6), "T C H W")
        assert (source[:] - latents.clamp(-3, 3)).abs().max() <= 3 / 255 + 1e-6
        assert torch.equal(source[1], source[:][1])


def test_a_picture_is_no_latent(tmp_path):
    images.write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(LatentsError, match="colour type 2"):
        open_latents(tmp_path / "a.png")


def test_a_broken_png_is_refused(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    images.write_image(tmp_path / "a.png", picture)
    data = (tmp_path / "a.png").read_bytes()
    for length in [12, 30, 60]:
        (tmp_path / "b.png").write_bytes(data[:length])
        with pytest.raises(LatentsError) as caught:
            open_latents(tmp_path / "b.png")[0]
        assert "\n" not in str(caught.value)


def test_what_does_not_fit_into_a_png_is_refused(tmp_path):
    with pytest.raises(LatentsError, match=r"\(4 k, h, w\)"):
        write_png(tmp_path / "a.png", torch.zeros(6, 8, 8), 0, overwrite=False)
    with pytest.raises(InputError, match="%05d"):
        save_latents(tmp_path / "a.png", torch.zeros(2, 4, 8, 8))
    with pytest.raises(InputError, match="8 bits"):
        save_latents(tmp_path / "a.png", torch.zeros(4, 8, 8), dtype=torch.float16)
    latents = torch.zeros(3, 4, 8, 8)
    latents[2, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError) as caught:
        save_latents(tmp_path / "a%d.png", latents)
    assert caught.value.frame == 2
    assert list(tmp_path.iterdir()) == []


def test_an_existing_picture_is_kept(tmp_path):
    save_latents(tmp_path / "a1.png", torch.ones(4, 8, 8))
    before = (tmp_path / "a1.png").read_bytes()
    with pytest.raises(InputError, match="exists"):
        save_latents(tmp_path / "a%d.png", torch.zeros(3, 4, 8, 8))
    assert [file.name for file in tmp_path.iterdir()] == ["a1.png"]
    assert (tmp_path / "a1.png").read_bytes() == before
    save_latents(tmp_path / "a%d.png", torch.zeros(3, 4, 8, 8), overwrite=True)
    assert (tmp_path / "a1.png").read_bytes() != before
