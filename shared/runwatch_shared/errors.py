"""The error tree and the machine codes of the contract; no HTTP.

RunwatchError
├── RefusedError            a request the server refuses: status, code, field, details (contract
1.2)
├── SettingsError           a setting that cannot be used: names it and its source
├── StoreError              the store could not do what was asked
│   ├── StoreUnavailableError
│   ├── StorageFullError
│   ├── ConflictError       a row is no longer what the writer read
│   └── StoreLockedError    another server holds the database
├── OverloadedError         a bounded queue is full; `retry_after_s` says when to come back
└── UnreachableError        the other side could not be reached
"""

from typing import Any, Final

STATUS_OF_CODE: Final[dict[str, int]] = {
    **dict.fromkeys(
        (
            "invalid_json",
            "missing_field",
            "invalid_field",
            "invalid_value",
            "invalid_parameter",
            "invalid_cursor",
            "token_in_query",
        ),
        400,
    ),
    **dict.fromkeys(("unauthenticated", "invalid_credential", "invalid_login"), 401),
    **dict.fromkeys(
        (
            "forbidden",
            "not_your_run",
            "not_your_node",
            "account_disabled",
            "registration_disabled",
            "host_not_allowed",
            "origin_not_allowed",
        ),
        403,
    ),
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    **dict.fromkeys(
        (
            "seq_conflict",
            "lease_lost",
            "lease_required",
            "run_finished",
            "run_active",
            "not_claimable",
            "not_controllable",
            "invalid_transition",
            "already_terminal",
            "in_use",
            "name_taken",
            "node_conflict",
            "node_deleted",
            "seq_ahead",
            "store_changed",
            "idempotency_conflict",
        ),
        409,
    ),
    **dict.fromkeys(("body_too_large", "batch_too_large", "event_too_large"), 413),
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "upgrade_required": 426,
    **dict.fromkeys(("rate_limited", "too_many_connections"), 429),
    "headers_too_large": 431,
    "internal": 500,
    "not_implemented": 501,
    **dict.fromkeys(("overloaded", "store_unavailable", "storage_full", "not_ready"), 503),
}
"""Contract 1.2: each code has one status."""


class RunwatchError(Exception):
    """Base of every error raised on purpose in Runwatch."""


class RefusedError(RunwatchError):
    """A request that is refused and changed nothing; becomes the error body of contract 1.2.

    Args:
        code: One of `STATUS_OF_CODE`; decides the status.
        message: For people, in English, without content from outside.
        field: Dotted path of the offending input (``events[3].seq``).
        details: JSON-ready facts for programs.
        retry_after_s: Whole seconds for ``Retry-After`` (429 and 503).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS_OF_CODE[code]
        self.message = message
        self.field = field
        self.details = details
        self.retry_after_s = retry_after_s


def not_found(kind: str) -> RefusedError:
    """404 for a record of this kind (``run``, ``task``, ``node``, …)."""
    return RefusedError("not_found", f"no such {kind}", details={"kind": kind})


class SettingsError(RunwatchError):
    """A setting that cannot be used. The message names the setting, the value's source and what is
    expected.
    """


class StoreError(RunwatchError):
    """The store could not do what was asked."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached or is broken; worth another try later."""


class StorageFullError(StoreError):
    """The disk or the store is full."""


class ConflictError(StoreError):
    """A row is no longer what the writer read; the work may run again on what is there now."""


class StoreLockedError(StoreError):
    """Another server holds this database."""


class OverloadedError(RunwatchError):
    """A bounded queue is full."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnreachableError(RunwatchError):
    """The other side could not be reached or did not answer in time."""
