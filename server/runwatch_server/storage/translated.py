"""Around what a driver does: its errors become the store's. What each one becomes is the driver's
own part, its module ``failures``.
"""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar

from runwatch_shared.errors import StoreError


class Translating(ABC):
    """``with Translated():`` raises the store's errors for a driver's.

    A class and not a generator: it stands around every read and every group.
    """

    __slots__ = ()

    failures: ClassVar[tuple[type[BaseException], ...]]
    """What of a driver's becomes an error of the store; anything else goes through."""

    @abstractmethod
    def translate(self, error: BaseException) -> StoreError:
        """The store's error for one of these."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, self.failures):
            raise self.translate(error) from error
