"""Instances as the wire shows them (contract 14); pure."""

from runwatch_server.instances.rows import InstanceRow
from runwatch_shared.instances import Instance, InstanceId
from runwatch_shared.timestamps import format_time


def instance_record(row: InstanceRow) -> Instance:
    return Instance(
        id=InstanceId(row.id),
        name=row.name,
        account_id=row.account_id,
        agent_type_id=row.agent_type,
        template_id=row.template_id,
        container_name=row.container_name,
        node_id=row.node_id,
        status=row.status,
        error=row.error,
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
        revision=row.revision,
    )
