"""Addresses as QR codes: which get one, and that cells are read back as what they were made of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from runwatch_console.qr import (
    LEAST_QUIET,
    MOST_CHARACTERS,
    QUIET,
    QrError,
    Refusal,
    fitted_cells,
    glyphs,
    half_cells,
    host_of,
    modules_of,
)
from tests.console.qr_reading import DARK_TERMINAL, LIGHT_TERMINAL, read

URL = "https://auth.example/device?user_code=WDJB-MJHT"
LONG = f"https://auth.example/authorize?state={'a1-B' * 90}"
PLAIN = Style()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (URL, "auth.example"),
        ("http://127.0.0.1:8080/x", "127.0.0.1"),
        ("https://[::1]:8080/x", "::1"),
        ("HTTPS://Auth.Example", "auth.example"),
    ],
)
def test_an_address_of_the_web_is_told_by_its_host(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("", Refusal.NONE),
        ("javascript:alert(1)", Refusal.NOT_WEB),
        ("file:///etc/passwd", Refusal.NOT_WEB),
        ("ftp://auth.example/", Refusal.NOT_WEB),
        ("https:///device", Refusal.NOT_WEB),
        ("https://***", Refusal.NOT_WEB),
        ("https://[::1", Refusal.NOT_WEB),
        ("https://auth.example:99999/", Refusal.NOT_WEB),
        ("https://known.example@elsewhere.example/", Refusal.DISGUISED),
        ("https://аuth.example/", Refusal.DISGUISED),  # noqa: RUF001 - a Cyrillic letter
        ("https://auth.example/\N{HORIZONTAL ELLIPSIS}", Refusal.DISGUISED),
        ("https://auth.example\\@elsewhere.example/", Refusal.DISGUISED),
        ("https://auth.example/a b", Refusal.DISGUISED),
        ("https://auth.example/\x1b[31m", Refusal.DISGUISED),
        (f"https://auth.example/{'a' * MOST_CHARACTERS}", Refusal.TOO_LONG),
    ],
)
def test_what_does_not_lead_where_it_seems_to_gets_no_code(url: str, refusal: Refusal) -> None:
    with pytest.raises(QrError) as caught:
        modules_of(url)
    assert caught.value.refusal is refusal


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_is_drawn_or_refused(text: str) -> None:
    for url in (text, f"https://{text}"):
        try:
            host_of(url)
        except QrError:
            continue
        assert url.isascii()
        assert modules_of(url)


@given(st.text("abcXYZ0189-._~/?#[]!$&'()*+,;=%:", max_size=300))
@settings(max_examples=25, deadline=None)
def test_what_is_drawn_is_read_back(path: str) -> None:
    url = f"https://auth.example/{path}"
    cells = half_cells(modules_of(url), QUIET)
    rows = [[(sign, PLAIN) for sign in glyphs(line, dark_ink=True)] for line in cells]
    assert read(rows, LIGHT_TERMINAL) == [url]


@pytest.mark.parametrize("dark_ink", [True, False])
def test_ink_is_light_where_the_terminal_writes_light_on_dark(dark_ink: bool) -> None:
    cells = half_cells(modules_of(URL), QUIET)
    rows = [[(sign, PLAIN) for sign in glyphs(line, dark_ink=dark_ink)] for line in cells]
    assert read(rows, LIGHT_TERMINAL if dark_ink else DARK_TERMINAL) == [URL]
    assert read(rows, DARK_TERMINAL if dark_ink else LIGHT_TERMINAL) == []


@pytest.mark.parametrize("url", [URL, LONG])
@pytest.mark.parametrize("whole", [True, False])
def test_light_modules_lie_around_it_at_least_two_and_four_where_there_is_room(
    url: str, whole: bool
) -> None:
    modules = modules_of(url)
    across = 2 if whole else 1

    def quiet(width: int) -> int:
        cells = fitted_cells(modules, width, None, whole=whole)
        assert cells is not None
        assert len(cells[0]) <= width
        left = min(next(x for x, cell in enumerate(line) if any(cell)) for line in cells
                   if any(map(any, line)))  # fmt: skip
        return left // across

    size = len(modules) * across
    assert quiet(size + 2 * QUIET * across) == QUIET
    assert quiet(size + 2 * LEAST_QUIET * across) == LEAST_QUIET
    assert fitted_cells(modules, size + 2 * LEAST_QUIET * across - 1, None, whole=whole) is None
    assert fitted_cells(modules, None, 10, whole=whole) is None
