"""Who makes a request, after the credential was checked; how it is checked is in `auth`."""

from typing import Literal

import msgspec

from runwatch_shared.errors import RefusedError
from runwatch_shared.models import NodeId, Scope


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A caller the server knows (contract 2.1).

    ``node_id`` is set for a node token bound to one node; a node token without it acts for any.
    ``local`` is a reader without a credential in ``local`` mode.
    """

    kind: Literal["session", "token", "node_token", "local"]
    scope: Scope
    id: str
    name: str
    node_id: NodeId | None = None

    @property
    def is_node(self) -> bool:
        """Whether the node scope, which stands apart, applies."""
        return self.scope == "node"

    def check_node(self, node_id: str | None) -> None:
        """Refuse what is about another node than the one a token is bound to.

        Raises:
            RefusedError: 403 ``not_your_node``.
        """
        if self.node_id is not None and self.node_id != node_id:
            raise RefusedError("not_your_node", "this token is for another node")
