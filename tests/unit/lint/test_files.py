"""Long source files are reported; templates, data and generated files may be longer."""

from pathlib import Path

import pytest

from tests.lint.__main__ import problems
from tests.lint.files import MAX_LINES, long_files


def test_a_source_file_above_the_limit_is_reported_with_its_length() -> None:
    assert list(long_files("console/desk.py", "x\n" * MAX_LINES)) == []
    assert list(long_files("console/desk.py", "x\n" * (MAX_LINES + 1))) == [
        f"console/desk.py: {MAX_LINES + 1} lines, at most {MAX_LINES}; split it by idea"
    ]


@pytest.mark.parametrize("path", ["deploy/templates/app.yaml", "workflows/asl/a.asl.json", "requirements.lock"])
def test_templates_data_and_generated_files_have_no_limit(path: str) -> None:
    assert list(long_files(path, "x\n" * 1000)) == []


def test_every_text_file_of_a_checkout_is_read(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "a.py").write_text("crown = 1\n")
    (tmp_path / "long.css").write_text("x\n" * 1000)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert [line.split(":")[0] for line in problems(tmp_path)] == ["functions/a.py", "long.css"]
