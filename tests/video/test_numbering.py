"""Names with a number in them: patterns, what fits them, and natural order."""

from pathlib import Path

import pytest

from video import InputError
from video.safe_files.numbering import NumberedFiles, natural_order


def test_files_are_found_by_number_however_many_digits_they_have(tmp_path: Path) -> None:
    for name in ("a10.png", "a9.png", "a008.png", "b1.png", "a1.jpg", "ax.png"):
        (tmp_path / name).touch()
    found = NumberedFiles.of(tmp_path / "a%d.png").existing()
    assert [(number, file.name) for number, file in found] == [
        (8, "a008.png"),
        (9, "a9.png"),
        (10, "a10.png"),
    ]


def test_a_folder_that_is_missing_holds_no_files(tmp_path: Path) -> None:
    assert NumberedFiles.of(tmp_path / "none" / "%d.png").existing() == []


@pytest.mark.parametrize("name", ["a.png", "%d_%d.png"])
def test_a_pattern_has_one_number(name: str) -> None:
    with pytest.raises(InputError, match="expected one number"):
        NumberedFiles.of(Path(name))


def test_a_percent_sign_may_be_doubled_or_plain() -> None:
    assert NumberedFiles.of(Path("5%%_%02d.png"), percent="%%").file(3) == Path("5%_03.png")
    assert NumberedFiles.of(Path("5%%_%02d.png")).file(3) == Path("5%%_03.png")


def test_runs_of_digits_count_as_numbers() -> None:
    names = ["f10.png", "f2.png", "1.png", "f1b.png", "f1.png"]
    ordered = sorted(map(Path, names), key=natural_order)
    assert [path.name for path in ordered] == ["1.png", "f1.png", "f1b.png", "f2.png", "f10.png"]
