"""English words of views, themes and settings."""

from typing import Final

WORDS: Final = {
    "view.title": "Views  (enter shows one, esc closes)",
    "view.note": ":save NAME keeps what the Runs screen shows · ctrl+x deletes one of yours",
    "view.own": "yours",
    "view.given": "built in",
    "view.every": "every run",
    "view.shown": "view",
    "view.none": "no view {name}; views: {names}",
    "view.kept": "view {name} is kept in {path}",
    "view.deleted": "view {name} is deleted",
    "view.delete": "Delete the view {name}?",
    "view.delete_effect": "It goes out of {path}. No run is touched.",
    "view.delete_ask": "y deletes it     n or esc leaves it",
    "view.built_in": "{name} is built in: it can be neither replaced nor deleted",
    "view.bad_name": "a view's name has 1 to {most} characters that can be shown",
    "view.not_here": "views are kept from the Runs screen (2)",
    "view.no_file": "there is no settings file to keep it in",
    "view.twice": "{name} stands there twice",
    "setting.near": "{name} is not known; did you mean {near}?",
    "setting.one_of": "{name} is none of {names}",
    "key.runs.views": "saved views",
    "key.views.delete": "delete this view of yours; asks first",
    "command.no_column": "no column {name}, or twice; columns: {names}",
    "command.no_theme": "no theme {name}; themes: {names}",
    "setting.no_key": "{key} is the name of no key",
    "setting.taken": "{key} is the key of {other} too",
    "setting.motion": "{key} is a motion of vi: what {name} does cannot be undone",
    "setting.approve": "{key} opens, says yes or stands next to y: what {name} does cannot be undone",
    "setting.no_columns": "only {names} have columns to choose",
}
