"""The pages of the repository: links lead to files, and every file in docs/ is linked."""

import re
from pathlib import Path

from tests.lint.__main__ import ROOT, repository_files

PAGES = [file for file in repository_files(ROOT) if file.suffix == ".md"]


def links(page: Path) -> list[Path]:
    """The files and folders that a page links to."""
    found = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
    return [(page.parent / link).resolve() for link in found if "://" not in link]


def test_every_link_leads_to_a_file() -> None:
    assert not [f"{page.relative_to(ROOT)}: {link}" for page in PAGES for link in links(page) if not link.exists()]


def test_every_file_in_docs_is_linked_from_a_page() -> None:
    linked = {link for page in PAGES for link in links(page)}
    linked |= {folder / "README.md" for folder in linked if folder.is_dir()}
    files = [file for file in repository_files(ROOT) if file.is_relative_to(ROOT / "docs")]
    assert not [file.relative_to(ROOT).as_posix() for file in files if file not in linked]


def test_the_readme_fits_in_200_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in _text(ROOT / "tests" / file)]
    assert not missing


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
