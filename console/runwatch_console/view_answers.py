"""What is done with views: shown, kept in the settings file, deleted; and with the list that is
shown: exported. Loaded with the first of them.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from runwatch_console.messages import (
    ExportRequested,
    ViewMessage,
    ViewRequested,
    ViewSaveRequested,
    ViewsRequested,
)
from runwatch_console.settings_file import SettingsFile
from runwatch_console.views import View, find_view, name_problem, views_of
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import SavedView
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.app import ConsoleApp


class ViewAnswers:
    """See the module. `file`: None where there is none to write to."""

    def __init__(self, app: "ConsoleApp", file: SettingsFile | None) -> None:
        self.app = app
        self.file = file

    def answer(self, request: ViewMessage) -> None:
        """Do what is asked, or begin it."""
        match request:
            case ViewsRequested():
                self._list()
            case ViewSaveRequested():
                self._save(request.name)
            case ViewRequested():
                self._show(request.name)
            case ExportRequested():
                self._export(request)
            case _:
                raise AssertionError(f"nothing answers {request!r}")

    @property
    def _views(self) -> list[View]:
        preferences = self.app.state.preferences
        return views_of(preferences.views, preferences.user)

    def _list(self) -> None:
        from runwatch_console.dialogs.views import ViewsDialog

        self.app.push_screen(ViewsDialog(self.app.state, self._views), self._chosen)

    def _chosen(self, chosen: tuple[str, str] | None) -> None:
        if chosen is None:
            return
        what, name = chosen
        if what == "delete":
            self._ask_to_delete(name)
        else:
            self._show(name)

    def _named(self, typed: str) -> View | None:
        view = find_view(self._views, typed)
        if view is None:
            names = " ".join(clean(each.name, limit=80, fold=True) for each in self._views)
            shown = clean(typed, limit=80, fold=True)
            self.app.tell("view.none", severity="warning", name=shown, names=names)
        return view

    def _show(self, typed: str) -> None:
        if (view := self._named(typed)) is not None:
            self.app.run_worker(self._show_view(view), group="view", exit_on_error=False)

    async def _show_view(self, view: View) -> None:
        await self.app.show_screen("runs")
        if (screen := self.app.console_screen) is not None:
            screen.take_view(view)

    def _export(self, request: ExportRequested) -> None:
        if self.app.state.preferences.read_only:
            self.app.tell("read_only.asked", severity="warning")
            return
        from runwatch_console.screens.exporting import export_list

        self.app.run_worker(export_list(self.app, request), group="write", exit_on_error=False)

    # In the file.

    def _save(self, name: str) -> None:
        words = self.app.state.words
        screen = self.app.console_screen
        saved = None if screen is None else screen.present_view()
        if saved is None:
            self.app.tell("view.not_here", severity="warning")
        elif problem := name_problem(name, words):
            self.app.notify(problem, severity="warning", markup=False, timeout=8)
        else:
            change = partial(_with, name=name, saved=saved)
            self._write(lambda file: file.save_view(name, saved), change, "view.kept", name)

    def _ask_to_delete(self, typed: str) -> None:
        from runwatch_console.dialogs.confirm import ConfirmDialog

        view = self._named(typed)
        if view is None:
            return
        if not view.own:
            self.app.tell("view.built_in", severity="warning", name=view.name)
            return
        words = self.app.state.words
        name = clean(view.name, limit=80, fold=True)
        dialog = ConfirmDialog(
            self.app.state,
            title=words("view.delete", name=name),
            effect=words("view.delete_effect", path=self._path),
            ask=words("view.delete_ask"),
        )
        self.app.push_screen(dialog, partial(self._delete_answered, view.name))

    def _delete_answered(self, name: str, yes: bool | None) -> None:
        if yes:
            change = partial(_without, name=name)
            self._write(lambda file: file.delete_view(name), change, "view.deleted", name)

    @property
    def _path(self) -> str:
        return "" if self.file is None else clean(str(self.file.path), limit=200, fold=True)

    def _write(
        self,
        write: Callable[[SettingsFile], None],
        change: Callable[[Mapping[str, SavedView]], dict[str, SavedView]],
        said: str,
        name: str,
    ) -> None:
        if self.file is None or self.app.state.preferences.read_only:
            self.app.tell("view.no_file", severity="warning")
            return
        work = self._written(self.file, write, change, said, name)
        self.app.run_worker(work, group="write", exit_on_error=False)

    async def _written(
        self,
        file: SettingsFile,
        write: Callable[[SettingsFile], None],
        change: Callable[[Mapping[str, SavedView]], dict[str, SavedView]],
        said: str,
        name: str,
    ) -> None:
        """Write in a thread: a slow disk keeps no key waiting."""
        try:
            await asyncio.to_thread(write, file)
        except SettingsError as error:
            text = clean(str(error), limit=400, fold=True)
            self.app.notify(text, severity="error", markup=False, timeout=8)
            return
        preferences = self.app.state.preferences
        preferences = replace(preferences, views=change(preferences.views))
        self.app.prefer(preferences)
        self.app.tell(said, name=clean(name, limit=80, fold=True), path=self._path)
        screen = self.app.console_screen
        kept = preferences.views.get(name)
        if screen is not None and kept is not None and screen.present_view() == kept:
            # What is shown has a name now.
            screen.take_view(View(name, kept, own=True))


def _with(views: Mapping[str, SavedView], *, name: str, saved: SavedView) -> dict[str, SavedView]:
    return {**views, name: saved}


def _without(views: Mapping[str, SavedView], *, name: str) -> dict[str, SavedView]:
    return {kept: saved for kept, saved in views.items() if kept != name}
