"""Signing an alert so that its receiver knows who sent it and when.

Source: Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), symmetric signatures.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from runwatch_shared.errors import SettingsError

PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64


def keys_of(secret: str) -> tuple[bytes, ...]:
    """The keys in a setting: one, or several separated by blanks while one takes another's place.

    Raises:
        SettingsError: There is none, or one is not ``whsec_`` and 24 to 64 bytes in base64.
    """
    keys = tuple(_key(part) for part in secret.split())
    if not keys:
        raise SettingsError("webhook_secret: alerts are signed; make one: openssl rand -base64 32")
    return keys


def signed_headers(
    keys: tuple[bytes, ...], *, alert_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The three headers of a request; the timestamp is that of this very try, seconds."""
    content = b"%s.%d.%s" % (alert_id.encode(), timestamp_s, body)
    signatures = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return {
        "webhook-id": alert_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise SettingsError(
            f"webhook_secret must be {LEAST_BYTES} to {MOST_BYTES} bytes in base64; "
            "make one: openssl rand -base64 32"
        )
    return key
