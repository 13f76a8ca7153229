"""Labelled facts as styled content; the texts are clean already and are never read as markup."""

from collections.abc import Sequence

from textual.content import Content

from runwatch_console.facts import Fact
from runwatch_console.lens import Lens, as_ascii

_STYLES = {
    "running": "$text-success",
    "done": "$text-success",
    "waiting": "$text-warning",
    "stalled": "$text-warning",
    "slow": "$text-warning",
    "looping": "$text-accent",
    "failed": "$text-error",
    "queued": "$text-primary",
    "unknown": "$text-secondary",
    "muted": "$foreground-muted",
    "cancelled": "$foreground-muted",
}


def facts_content(facts: Sequence[Fact], lens: Lens, *, stacked: bool = False) -> Content:
    """One line a fact: the label in a column of its own, then the text; `stacked`: the text below
    it.
    """
    lines: list[Content] = []
    labels = {fact.label: lens.words(fact.label) for fact in facts if fact.label}
    width = max((Content(label).cell_length for label in labels.values()), default=0)
    for fact in facts:
        label = labels.get(fact.label, "")
        space = " " * (width - Content(label).cell_length + 2)
        text = as_ascii(fact.text) if lens.ascii else fact.text
        style = _STYLES.get(fact.tone, "")
        value = Content.styled(text, style) if style else Content(text)
        if not stacked:
            lines.append(Content.assemble((f"{label}{space}", "$foreground-muted"), value))
            continue
        if label:
            lines.append(Content.styled(label, "$foreground-muted"))
        lines.append(Content.assemble("  ", value))
    return Content("\n").join(lines)
