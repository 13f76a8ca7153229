"""Reference pages say what the code says."""

import re
from pathlib import Path

import pytest

from runwatch_shared.states import EVENT_TYPES
from tests.packaging.reference import ROOT, pages

MADE = pages()


@pytest.mark.parametrize("path", MADE, ids=str)
def test_a_page_made_from_the_code_is_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text() == MADE[path], "run: make reference"


@pytest.mark.parametrize("page", ["docs/reference/events.md", "docs/zh/reference/events.md"])
def test_every_type_of_event_is_described_and_no_other(page: str) -> None:
    text = (ROOT / page).read_text()
    described = re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)
    assert sorted(described) == sorted(EVENT_TYPES)
