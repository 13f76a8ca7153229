"""From the bytes of one pipe to records of the log: secrets replaced, then cut into lines."""

from runwatch_nodemanager.line_cutter import LineCutter
from runwatch_nodemanager.redaction.redactor import Redactor, Rules

Records = list[tuple[int, bytes]]


class OutputStream:
    """Standard output or error of one agent.

    Args:
        line_kind: Of a whole line; ``part_kind``: of a piece (`run_folder`).
    """

    def __init__(self, rules: Rules, line_kind: int, part_kind: int) -> None:
        self._redactor = Redactor(rules)
        self._cutter = LineCutter(line_kind, part_kind)

    def feed(self, chunk: bytes) -> Records:
        return self._cutter.feed(self._redactor.feed(chunk))

    def hand_over(self) -> Records:
        """A line begun and not ended, as a prompt is; but what may yet be a secret stays."""
        shown = self._cutter.feed(self._redactor.flush(ended=False))
        return [*shown, *self._cutter.flush(ended=False)]

    def end(self) -> Records:
        """All that is left."""
        rest = self._cutter.feed(self._redactor.flush(ended=True))
        return [*rest, *self._cutter.flush(ended=True)]
