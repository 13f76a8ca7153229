"""Passwords and variables of proxies and nodes as they are stored: each belongs to its owner and
name, so that what is sealed for one opens for no other.
"""

from collections.abc import Mapping

from runwatch_server.vault import Vault, VaultError
from runwatch_shared.errors import RefusedError


def sealed(vault: Vault, owner: str, password: str | None) -> str | None:
    """A password of a proxy or node."""
    if password is None:
        return None
    return sealed_variables(vault, owner, {"": password})[""]


def opened(vault: Vault, owner: str, password: str | None) -> str | None:
    """The password as it was given.

    Raises:
        RefusedError: 503 ``store_unavailable``: it was sealed with another key.
    """
    if password is None:
        return None
    return opened_variables(vault, owner, {"": password})[""]


def sealed_variables(vault: Vault, owner: str, env: Mapping[str, str]) -> dict[str, str]:
    """The values of variables a node gives its runs."""
    both = vault.seal({_name(owner, name): value for name, value in env.items()}) or {}
    return {name: both[_name(owner, name)] for name in env}


def opened_variables(vault: Vault, owner: str, env: Mapping[str, str]) -> dict[str, str]:
    """Raises RefusedError as `opened`."""
    try:
        both = vault.open({_name(owner, name): value for name, value in env.items()}) or {}
    except VaultError as error:
        message = "what a proxy or node needs was sealed with another key"
        raise RefusedError("store_unavailable", message) from error
    return {name: both[_name(owner, name)] for name in env}


def _name(owner: str, name: str) -> str:
    return f"{owner}/{name}"
