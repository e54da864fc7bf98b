"""`python -m tests` runs every file with tests once."""

from collections import Counter

from tests.__main__ import ROOT, evaluation, groups


def test_every_file_with_tests_is_in_one_group() -> None:
    side_by_side = groups()
    files: Counter[str] = Counter()
    for group in (*side_by_side, evaluation(side_by_side)):
        for path in group.paths:
            found = [ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("test_*.py")
            files.update(str(file.relative_to(ROOT)) for file in found)
    every = {str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_*.py")}
    assert every == set(files)
    assert set(files.values()) == {1}
