"""What a model's tokens cost, as a node's settings say it; no arithmetic."""

from typing import Annotated

import msgspec

Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True):
    """USD per million tokens of a model: one table of ``[node.prices]``."""

    input: Price
    output: Price
    """Reasoning included."""
    cache_read: Price | None = None
    """``None``: as ``input``."""
    cache_write: Price | None = None
    """``None``: as ``input``."""
