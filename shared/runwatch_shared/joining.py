"""How a node joins: a token to join with, made by an administrator, for one of its own."""

from runwatch_shared.models import NodeId, Record, Time


class JoinTokenRequest(Record, frozen=True, kw_only=True):
    """``expires_in_s``: 1 to 86,400; 900 unless given."""

    name: str = "join"
    node_id: str | None = None
    expires_in_s: int = 900


class JoinToken(Record, frozen=True, kw_only=True):
    """A token with which one node joins, once; its text is shown once.

    ``authority`` is the SHA-256 fingerprint of the server's own authority, as ``SHA256:AB:CD:…``;
    absent where the server's certificate is another's.
    """

    id: str
    token: str
    node_id: NodeId | None = None
    expires_at: Time
    authority: str | None = None


class JoinRequest(Record, frozen=True, kw_only=True):
    token: str
    node_id: str


class JoinAnswer(Record, frozen=True, kw_only=True):
    """``token`` is the node's own, bound to its id."""

    node_id: NodeId
    token: str
