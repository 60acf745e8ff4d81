"""What other libraries say, as one plain sentence."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch

from video.errors import first_line


def test_the_sentence_of_a_library_with_colours_and_advice() -> None:
    file = io.BytesIO()
    torch.save(np.zeros(3), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(file, weights_only=True)
    assert "\x1b" in str(caught.value)
    sentence = first_line(caught.value)
    assert sentence.startswith("Weights only load failed")
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("cut " * 100, "cut " * 29 + "cut ..."),
        ("x" * 200, "x" * 120 + " ..."),
        ("", "ValueError"),
        ("version 2.14 of a.pt e.g. Is fine. Really", "version 2.14 of a.pt e.g. Is fine"),
        ("a \0 in it", "a ? in it"),
    ],
)
def test_sentences(said: str, sentence: str) -> None:
    assert first_line(ValueError(said)) == sentence
