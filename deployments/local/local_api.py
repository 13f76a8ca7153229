"""A few requests to a local server, verified like any other client's; no retry."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from runwatch_shared.tls import client_context

TIMEOUT_S: Final = 10.0


class LocalApi:
    """The server of a data directory: its authority and its admin token are read from there."""

    def __init__(self, url: str, data_dir: Path, *, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._data_dir = data_dir
        self._token = token

    def get(self, path: str) -> Any:
        """The decoded answer. Raises OSError when there is none, or a refusal."""
        return self._send("GET", path, None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """As `get`, for what changes something."""
        return self._send("POST", path, {} if body is None else body)

    def serving(self) -> bool:
        """Whether a server answers here."""
        try:
            answer = self.get("/livez")
        except (OSError, ValueError):
            return False
        return isinstance(answer, dict) and answer.get("status") == "ok"

    def allows(self, path: str) -> bool:
        """Whether a GET is answered well."""
        try:
            self.get(path)
        except (OSError, ValueError):
            return False
        return True

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        token = self._token
        if token is None and (file := self._data_dir / "token").exists():
            token = file.read_text().strip()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        context = None
        if self.url.startswith("https:"):
            ca = self._data_dir / "tls" / "ca.pem"
            context = client_context(ca if ca.exists() else None)
        handler = urllib.request.HTTPSHandler(context=context)
        # No proxy: the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"null")


def refusal(error: OSError) -> str:
    """What a refused request was answered, for a person."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.read(1000).decode(errors='replace')}"
    return str(error)
