"""What must not be seen of one run: its secrets, and its description without them."""

import os
from dataclasses import dataclass
from typing import Self

import msgspec

from runwatch_nodemanager.agents.protocol import LogRules
from runwatch_nodemanager.granted import plain_names
from runwatch_nodemanager.redaction.choice import secret_values, unprotected
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.models import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidential:
    """Of one run. ``unprotected`` names variables too short to be looked for."""

    log: LogRules
    rules: Rules
    unprotected: tuple[str, ...]

    @classmethod
    def of(cls, shop: Workshop, snapshot: Snapshot) -> Self:
        """May take a tenth of a second with secrets of many kilobytes: call it in a thread."""
        settings = shop.settings
        asked = snapshot.env or {}
        plain = [*settings.redact_except, *plain_names(asked)]
        secrets = secret_values(asked, os.environ, plain=plain)
        if shop.link.token is not None:
            secrets.append(shop.link.token)
        account = shop.accounts.get(snapshot.agent.account_id or "")
        if account is not None:
            secrets += account.secrets()
        log = LogRules(
            secrets=tuple(secrets),
            expressions=tuple(settings.redact_patterns),
            when_full=settings.spool_full,
        )
        return cls(
            log=log,
            rules=Rules(log.secrets, log.expressions),
            unprotected=tuple(unprotected(asked, plain=plain)),
        )

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot as it may be kept and shown; ``env`` is not kept at all."""
        rules = self.rules
        agent = msgspec.structs.replace(
            snapshot.agent, parameters=rules.tree(snapshot.agent.parameters)
        )
        workspace = snapshot.workspace
        if workspace is not None and workspace.git is not None:
            git = msgspec.structs.replace(workspace.git, url=rules.text(workspace.git.url))
            workspace = msgspec.structs.replace(workspace, git=git)
        return msgspec.structs.replace(
            snapshot,
            agent=agent,
            workspace=workspace,
            name=rules.text(snapshot.name),
            prompt=rules.text(snapshot.prompt),
        )
