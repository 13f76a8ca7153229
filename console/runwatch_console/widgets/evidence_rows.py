"""The events that show why a run is as it is, as rows of a list."""

from collections.abc import Sequence

from runwatch_console.explanation import evidence_text
from runwatch_console.inquiry import Evidence
from runwatch_console.lens import Lens
from runwatch_console.widgets.virtual_list import Key, Paint, Piece

SEQ_WIDTH = 11
WHY_WIDTH = 13
AGE_WIDTH = 6


class EvidenceRows:
    """One row an event: its number, why it is here, how long ago, and what it says."""

    def __init__(self, lens: Lens, evidence: Sequence[Evidence] = ()) -> None:
        self.lens = lens
        self.evidence = evidence

    def __len__(self) -> int:
        return len(self.evidence)

    def key_at(self, index: int) -> Key:
        """The event's number."""
        return self.evidence[index].line.seq

    def index_of(self, key: Key) -> int | None:
        """Where the event is."""
        seqs = [piece.line.seq for piece in self.evidence]
        return seqs.index(key) if key in seqs else None

    def selectable(self, index: int) -> bool:
        """Every row may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One row."""
        piece = self.evidence[index]
        why, said, seq = evidence_text(piece, self.lens)
        age = (
            "" if piece.line.time_s is None else self.lens.age(self.lens.now_s - piece.line.time_s)
        )
        room = max(10, width - SEQ_WIDTH - WHY_WIDTH - AGE_WIDTH - 3)
        return Paint(
            (
                Piece(f"[{seq}]", SEQ_WIDTH, "id", "right"),
                Piece(" ", 1),
                Piece(why, WHY_WIDTH, "muted"),
                Piece(" ", 1),
                Piece(age, AGE_WIDTH, "muted", "right"),
                Piece(" ", 1),
                Piece(said, room, piece.line.tone),
            ),
            stale=self.lens.stale,
        )
