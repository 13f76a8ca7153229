"""How the logins of a node are, for its heartbeats; files are read again when they change."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager.logins.kept_account import (
    EXPIRING_US,
    KeptAccount,
    State,
    credential_state,
)
from runwatch_nodemanager.logins.recipes import HOME_MARK, PLACES, Place
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.models import AgentOffer, Login
from runwatch_shared.timestamps import format_optional_time

MOST_TOLD: Final = 500
HELD: Final = ("ok", "expiring")


class LoginStates:
    """Of one node."""

    def __init__(
        self,
        shop: Workshop,
        *,
        user_home: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._shop = shop
        self._user_home = user_home or Path.home()
        self._environment = environment
        self._known: dict[str, tuple[str, State, int | None]] = {}
        """By account: the stamp it was read at, and what was read; a login may end meanwhile."""

    def look(self) -> list[Login]:
        """Of every account here, then of this machine's user where one is logged in."""
        now_us = self._shop.clock.now_us()
        found = [self._of(account, now_us) for account in self._shop.accounts.all()]
        return [*found, *self._of_user(now_us)][:MOST_TOLD]

    def _of(self, account: KeptAccount, now_us: int) -> Login:
        stamp = account.stamp
        known = self._known.get(account.record.id)
        if known is None or known[0] != stamp:
            state, ends_us = account.worth(now_us)
            self._known[account.record.id] = (stamp, state, ends_us)
        else:
            _, state, ends_us = known
        if state in HELD and ends_us is not None:
            state = _by_time(ends_us, now_us)
        return Login(
            agent_type=account.record.agent_type,
            account_id=account.record.id,
            state=state,
            expires_at=format_optional_time(ends_us),
        )

    def _of_user(self, now_us: int) -> list[Login]:
        """Never ``missing``: an agent may have its login from where nobody looks."""
        found = []
        for agent_type, place in PLACES.items():
            path = self._default_place(place)
            if not path.is_file():
                continue
            there, ends_us = credential_state(path)
            if there:
                state = "ok" if ends_us is None else _by_time(ends_us, now_us)
                ends = format_optional_time(ends_us)
                found.append(Login(agent_type=agent_type, state=state, expires_at=ends))
        return found

    def _default_place(self, place: Place) -> Path:
        """Where the agent of a run without an account keeps its login."""
        name, text = next(iter(place.variables.items()))
        base = self._environment.get(name)
        inner = text.replace(HOME_MARK, "").lstrip("/")
        relative = place.files[0].removeprefix(f"{inner}/") if inner else place.files[0]
        return Path(base) / relative if base else self._user_home / place.files[0]


def with_accounts(offers: list[AgentOffer], logins: list[Login]) -> list[AgentOffer]:
    """The offers with the accounts that each can be run with."""
    held: dict[str, list[str]] = {}
    for login in logins:
        if login.account_id is not None and login.state in HELD:
            held.setdefault(login.agent_type, []).append(login.account_id)
    return [
        msgspec.structs.replace(offer, accounts=held[offer.type]) if offer.type in held else offer
        for offer in offers
    ]


def _by_time(ends_us: int, now_us: int) -> State:
    if ends_us <= now_us:
        return "expired"
    return "expiring" if ends_us - now_us < EXPIRING_US else "ok"
