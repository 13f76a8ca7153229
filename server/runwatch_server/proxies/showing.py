"""Proxies as the wire shows them: without their passwords."""

from runwatch_server.proxies.rows import ProxyRow
from runwatch_shared.proxies import Proxy
from runwatch_shared.timestamps import format_time


def proxy_record(row: ProxyRow) -> Proxy:
    """A proxy (contract 14)."""
    return Proxy(
        id=row.id,
        name=row.name,
        type=row.type,
        host=row.host,
        port=row.port,
        username=row.username,
        no_proxy=row.no_proxy,
        is_default=row.is_default,
        status=row.status,
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
    )
