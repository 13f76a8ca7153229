"""`monitor-tui`: joins settings, network and app, or hands over to a command without a screen.

Nothing costly is imported at the top: what a person sees first, one line, is there before Textual.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from runwatch_console import collector
from runwatch_console.flags import (
    DEMO,
    SERVE,
    START_ONLY,
    FlagError,
    Split,
    split_flags,
)

if TYPE_CHECKING:
    from pathlib import Path

    from runwatch_console.contextbook import ContextBook
    from runwatch_console.contexts import Context
    from runwatch_console.demo.wish import Wish
    from runwatch_console.feeditems import Target
    from runwatch_console.fleet_feed import MonitorFeed
    from runwatch_console.headless.session import ClosableApi, LiveRun, Session
    from runwatch_console.headless.words import HeadlessWords
    from runwatch_console.ports import Connect, Connection
    from runwatch_console.replay.playback import Playback
    from runwatch_console.server_choice import SettingsServers
    from runwatch_console.servers import Listed, Server, Standing
    from runwatch_console.state import Preferences
    from runwatch_shared.settings import ConsoleSettings
    from runwatch_shared.wire import SubscribeFrame

FAILED: Final = 1
USAGE: Final = 2
PLAIN: Final = "plain"
CONSOLE_LIBRARIES: Final = frozenset({"textual", "httpx", "websockets"})
SKELETON: Final = " Runwatch …"
ERASE_LINE: Final = "\r\x1b[2K"
FRAMES_PER_S: Final = "120"
FLEET_ROWS: Final = 5000
"""Rows of the first snapshot, those that need somebody first; later changes of any row arrive."""
STDIN: Final = 0
"""What Textual reads keys from."""
LOW_BANDWIDTH_ROWS: Final = 300
"""A row is about 1 KiB."""
LONGEST_LOG_BYTES: Final = 1024 * 1024


def main() -> None:
    """The command's entry."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """One start of `monitor-tui`; gives the exit code."""
    try:
        split = split_flags(arguments)
    except FlagError as error:
        word_id = "flag_without_value" if error.takes_value else "flag_with_value"
        return _say(_words({}), f"headless.{word_id}", flag=error.flag)
    try:
        split = _as_command(split)
        if split.rest:
            return _command(split)
        if not _in_browser() and not (sys.stdin.isatty() and sys.stdout.isatty()):
            return _without_terminal(split)
        return _console(split)
    except _PlainWantedError:
        return _command(split._replace(rest=(PLAIN,)))
    except ModuleNotFoundError as error:
        if error.name not in CONSOLE_LIBRARIES:
            raise
        return _say(_words(split.typed), "headless.no_extra", name=error.name)


class _PlainWantedError(Exception):
    """The settings ask for lines in place of screens."""


def _as_command(split: Split) -> Split:
    """`--serve` is the command `serve`, and `--plain` alone `plain`."""
    if split.typed.get(SERVE):
        return split._replace(rest=(SERVE, *split.rest))
    if split.typed.get(PLAIN) and not split.rest:
        return split._replace(rest=(PLAIN,))
    return split


def _without_terminal(split: Split) -> int:
    from runwatch_shared.errors import SettingsError

    words = _words(split.typed)
    try:
        if _settings(split).plain:
            raise _PlainWantedError
    except SettingsError as error:
        return _say(words, "headless.setting", text=str(error))
    sys.stderr.write(f"{words('headless.no_terminal')}\n")
    return USAGE


def _in_browser() -> bool:
    """Whether textual-serve started this process: standard input and output are its protocol."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


def _command(split: Split) -> int:
    from runwatch_console.headless.program import run_command
    from runwatch_shared.errors import SettingsError

    words = _words(split.typed)
    if split.rest == ("--version",):
        return _print_version()
    try:
        return run_command(
            split.rest,
            lambda: _open_session(split),
            words,
            sys.stderr,
            lambda playback: _replay(split, playback),
            split.typed,
        )
    except SettingsError as error:
        return _say(words, "headless.setting", text=str(error))


def _console(split: Split) -> int:
    if _in_browser():
        from runwatch_console.orphan import end_with_parent

        end_with_parent()
        return _run_app(split)
    sys.stdout.write(SKELETON)
    sys.stdout.flush()
    # Textual gives the terminal back with the line still on it.
    last = ERASE_LINE
    try:
        return _run_app(split)
    except _PlainWantedError:
        # A screen reader gets no sequence that moves the cursor.
        last = "\n"
        raise
    finally:
        sys.stdout.write(last)
        sys.stdout.flush()


def _run_app(split: Split) -> int:
    collector.pause()
    from runwatch_shared.errors import SettingsError

    try:
        settings = _settings(split)
        target, connect = _reach(settings, split)
    except SettingsError as error:
        sys.stdout.write(ERASE_LINE)
        return _say(_words(split.typed), "headless.setting", text=str(error))
    if settings.plain and not _in_browser():
        raise _PlainWantedError
    _make_ready()
    from runwatch_console.app import ConsoleApp

    app = ConsoleApp(
        target=target,
        connect=connect,
        preferences=_preferences(settings),
        keymap=settings.keys,
        settled=collector.settle,
        settings_file=_settings_path(split),
        servers=None if not DEMO.isdisjoint(split.typed) else _Servers(split),
    )
    app.run(mouse=settings.mouse)
    return app.return_code or 0


def _make_ready() -> None:
    """What a console needs of its process before Textual is loaded."""
    from runwatch_console.terminal_watch import watch_terminal

    if os.isatty(STDIN):
        watch_terminal(STDIN)
    _log_to_file()
    _check_libraries()
    if not sys.stderr.isatty() and not _in_browser():
        # Textual draws on standard error: with `2>file` the screen would go to the file.
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]  # read by Textual's driver alone
    # Textual paints no oftener than this: a key would wait up to 17 ms for its turn.
    os.environ.setdefault("TEXTUAL_FPS", FRAMES_PER_S)


def _preferences(settings: "ConsoleSettings") -> "Preferences":
    from runwatch_console.contextbook import names_of
    from runwatch_console.formats import TimeFormat
    from runwatch_console.locale.words import Words, language_of
    from runwatch_console.state import Preferences
    from runwatch_console.themes import theme_of_terminal

    return Preferences(
        words=Words(language_of(settings.lang, os.environ)),
        ascii=not _speaks_utf8(sys.stdout.encoding),
        contexts=names_of(settings),
        low_bandwidth=settings.low_bw,
        read_only=settings.read_only,
        theme=settings.theme or theme_of_terminal(os.environ),
        time_format=TimeFormat[settings.time.upper()],
        columns=settings.columns,
        views=settings.views,
        view=settings.default_view,
        home=settings.home,
        user=os.environ.get("USER", ""),
    )


def _replay(split: Split, playback: "Playback") -> int:
    """The console over a recording."""
    from runwatch_shared.errors import SettingsError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _say(_words(split.typed), "replay.no_terminal")
    try:
        settings = _settings(split)
    except SettingsError as error:
        return _say(_words(split.typed), "headless.setting", text=str(error))
    _make_ready()
    from runwatch_console.replay.player import Player
    from runwatch_console.replay.playhead import Playhead
    from runwatch_console.replay_app import ReplayApp

    playhead = Playhead(
        playback.recording.length_s,
        speed=playback.speed,
        position_s=playback.begin_s,
        paused=playback.paused,
    )
    app = ReplayApp(
        Player(playback.recording, playhead),
        name=playback.path.name,
        preferences=_preferences(settings),
        keymap=settings.keys,
    )
    app.run(mouse=settings.mouse)
    return app.return_code or 0


def _check_libraries() -> None:
    """The network's are loaded in a thread of the running app: too late to say that one is missing.

    Raises:
        ModuleNotFoundError: One of them is not installed.
    """
    from importlib.util import find_spec

    for name in sorted(CONSOLE_LIBRARIES):
        if find_spec(name) is None:
            raise ModuleNotFoundError(name, name=name)


def _speaks_utf8(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "").replace("_", "") == "utf8"


def _reach(settings: "ConsoleSettings", split: Split) -> "tuple[Target, Connect]":
    """Where the console looks, and what connects it: to a server, or to a made-up fleet."""
    if not DEMO.isdisjoint(split.typed):
        from runwatch_console.demo.wish import demo_target, wish_of

        wish = wish_of(split.typed)
        return demo_target(wish), lambda: _make_up(wish, settings)
    context = _context(settings, split)
    return context.target(), lambda: _connect(context, settings)


def _make_up(wish: "Wish", settings: "ConsoleSettings") -> "Connection":
    from runwatch_console.demo.starting import demo_connection

    return demo_connection(wish, rows=_rows(settings.low_bw), read_only=settings.read_only)


def _rows(low: bool) -> int:
    return LOW_BANDWIDTH_ROWS if low else FLEET_ROWS


def _connect(context: "Context", settings: "ConsoleSettings") -> "Connection":
    """Everything of the network; loads httpx and websockets, so the app calls it in a thread."""
    from runwatch_console.client import HttpApi
    from runwatch_console.fleet_feed import MonitorFeed, fleet_subscription
    from runwatch_console.ports import Connection
    from runwatch_console.run_feed import RunSockets

    feed = MonitorFeed(context, subscription=fleet_subscription(_rows(settings.low_bw)))
    api = HttpApi(context, read_only=settings.read_only)
    return Connection(
        feed=feed,
        run_events=RunSockets(context, store=lambda: feed.store),
        api=api,
        close=api.aclose,
        spare=lambda low: feed.limit_rows(_rows(low)),
    )


class _Network:
    """The network for a command, each part loaded when it is used. See `session.Network`."""

    def __init__(self, context: "Context", *, read_only: bool) -> None:
        self._context = context
        self._read_only = read_only

    def api(self) -> "ClosableApi":
        from runwatch_console.client import HttpApi

        return HttpApi(self._context, read_only=self._read_only)

    def feed(self, subscription: "SubscribeFrame") -> "MonitorFeed":
        from runwatch_console.fleet_feed import MonitorFeed

        return MonitorFeed(self._context, subscription=subscription)

    def run_events(self, store: str) -> "LiveRun":
        from runwatch_console.run_feed import RunSockets

        return RunSockets(self._context, store=lambda: store)


class _Servers:
    """`servers.Servers`, loaded when it is used."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def listed(self) -> "Sequence[Listed]":
        return self._choice().listed()

    def open(self, name: str) -> "Server":
        return self._choice().open(name)

    async def standing(self, name: str) -> "Standing":
        return await self._choice().standing(name)

    def _choice(self) -> "SettingsServers":
        from runwatch_console.server_choice import SettingsServers

        return SettingsServers(lambda: _context_book(self._split), _connect, os.environ)


def _open_session(split: Split) -> "Session":
    from runwatch_console.headless.session import Printer, Session, terminal_printer
    from runwatch_console.headless.words import HeadlessWords
    from runwatch_console.locale.words import language_of

    settings = _settings(split)
    words = HeadlessWords(language_of(settings.lang, os.environ))
    printer: Printer = terminal_printer(sys.stdout, sys.stderr, os.environ)
    if not DEMO.isdisjoint(split.typed):
        from runwatch_console.demo.starting import demo_network
        from runwatch_console.demo.wish import demo_target, wish_of

        wish = wish_of(split.typed)
        return Session(
            words=words,
            target=demo_target(wish),
            network=demo_network(wish, read_only=settings.read_only),
            printer=printer,
            settings=settings,
            user=os.environ.get("USER", ""),
        )
    context = _context(settings, split)
    _log_to_file()
    for word_id, what in context.exposures():
        printer.say(words(word_id, what=what))
    return Session(
        words=words,
        target=context.target(),
        network=_Network(context, read_only=settings.read_only),
        printer=printer,
        settings=settings,
        user=os.environ.get("USER", ""),
        context=context,
    )


def _settings(split: Split) -> "ConsoleSettings":
    return _context_book(split).start()


def _context_book(split: Split) -> "ContextBook":
    from runwatch_console.contextbook import ContextBook

    return ContextBook(settings=_read_settings(split), typed=split.typed, environment=os.environ)


def _read_settings(split: Split) -> "ConsoleSettings":
    from runwatch_console.settings_place import named_config
    from runwatch_shared.layers import load_settings
    from runwatch_shared.settings import ConsoleSettings

    typed = {name: value for name, value in split.typed.items() if name not in START_ONLY}
    config = named_config(split.typed, os.environ)
    settings = load_settings(ConsoleSettings, "console", config=config, flags=typed)
    if settings.keys or settings.views or settings.columns or settings.default_view:
        # Nobody else pays for what knows keys, filters and columns.
        from runwatch_console.settings_check import check_settings

        check_settings(settings, os.environ)
    return settings


def _settings_path(split: Split) -> "Path":
    from runwatch_console.settings_place import settings_path

    return settings_path(split.typed, os.environ)


def _context(settings: "ConsoleSettings", split: Split) -> "Context":
    from runwatch_console.contexts import resolve_context

    return resolve_context(settings, split.typed)


def _words(typed: dict[str, str | bool]) -> "HeadlessWords":
    from runwatch_console.headless.words import HeadlessWords
    from runwatch_console.locale.words import language_of

    return HeadlessWords(language_of(str(typed.get("lang", "")), os.environ))


def _say(words: "HeadlessWords", word_id: str, **facts: object) -> int:
    sys.stderr.write(f"{words('headless.error', text=words(word_id, **facts))}\n")
    return USAGE


def _print_version() -> int:
    from importlib.metadata import version

    sys.stdout.write(f"monitor-tui {version('runwatch')}\n")
    return 0


def _log_to_file() -> None:
    """Warnings of libraries would be drawn over the screen; they go to a file of the user's."""
    from pathlib import Path

    from runwatch_shared.logs import configure_logging

    home = os.environ.get("XDG_STATE_HOME")
    base = Path(home) if home and Path(home).is_absolute() else Path("~/.local/state").expanduser()
    path = base / "runwatch" / "monitor-tui.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.exists() and path.stat().st_size > LONGEST_LOG_BYTES
        stream = path.open("w" if fresh else "a", encoding="utf-8")
    except OSError:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    configure_logging(level="warning", default_tag="console", stream=stream)


if __name__ == "__main__":
    main()
