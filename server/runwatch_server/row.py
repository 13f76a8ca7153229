"""The base of the records a store keeps; which there are is in `rows`."""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of stored records."""
