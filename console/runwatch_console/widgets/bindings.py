"""Textual bindings from the key table."""

from textual.binding import Binding, BindingType

from runwatch_console.keymap import Owner, keys_of


def bindings_for(*owners: Owner) -> list[BindingType]:
    """The bindings of these owners, with the ids a user's keymap names."""
    return [
        Binding(key.keys, key.action, key.help, show=False, id=key.id, priority=key.priority)
        for key in keys_of(owners)
    ]
