"""The four dashboards of Runwatch; writes the files of `dashboards/` anew (make dashboards).

Counts of the whole fleet are the same on every server of one database: `max` over servers. What a
server did itself is summed.
"""

import json
from pathlib import Path
from typing import Final

from panels import Dashboard, Panel, Query, Row, dashboard_json

FOLDER: Final = Path(__file__).with_name("dashboards")
WAIT: Final = "$__rate_interval"


def one(expr: str, legend: str = "") -> list[Query]:
    """A panel's only query."""
    return [Query(expr=expr, legend=legend)]


def quantiles(metric: str, *, by: str = "", whole_fleet: bool = False) -> list[Query]:
    """Median, p95 and p99 of a histogram."""
    labels = "le" if not by else f"{by}, le"
    gather = "max" if whole_fleet else "sum"
    named = f" {{{{{by}}}}}" if by else ""
    return [
        Query(
            expr=f"histogram_quantile({q}, {gather} by ({labels}) (rate({metric}_bucket[{WAIT}])))",
            legend=f"p{q * 100:.0f}{named}",
        )
        for q in (0.5, 0.95, 0.99)
    ]


OVERVIEW: Final = Dashboard(
    uid="runwatch-overview",
    title="Runwatch: overview",
    rows=[
        Row(
            title="Now",
            panels=[
                Panel(
                    title="Servers up",
                    kind="stat",
                    width=3,
                    queries=one('sum(up{job="runwatch-server"})'),
                ),
                Panel(
                    title="Nodes online",
                    kind="stat",
                    width=3,
                    queries=one('runwatch:nodes:max{status="online"}'),
                ),
                Panel(
                    title="Running",
                    kind="stat",
                    width=3,
                    queries=one('sum(runwatch:workflows:max{state="running"})'),
                ),
                Panel(
                    title="Waiting for a person",
                    kind="stat",
                    width=3,
                    queries=one('sum(runwatch:workflows:max{state="waiting"})'),
                ),
                Panel(
                    title="Unhealthy",
                    kind="stat",
                    width=3,
                    red=1,
                    queries=one("sum(max by (health) (runwatch_unhealthy))"),
                ),
                Panel(
                    title="Oldest in the queue",
                    kind="stat",
                    unit="s",
                    width=3,
                    red=1800,
                    queries=one("runwatch:queue_oldest_seconds:max"),
                ),
                Panel(
                    title="Requests that failed",
                    kind="stat",
                    unit="percentunit",
                    width=3,
                    red=0.01,
                    queries=one("runwatch:http_errors:ratio5m"),
                ),
                Panel(
                    title="Cost in an hour",
                    kind="stat",
                    unit="currencyUSD",
                    width=3,
                    queries=one("sum(runwatch:cost_usd_per_hour:rate1h)"),
                ),
            ],
        ),
        Row(
            title="Runs and nodes",
            panels=[
                Panel(
                    title="Runs by state",
                    stacked=True,
                    queries=one(
                        'runwatch:workflows:max{type="run",state=~"pending|running|waiting|unknown"}',
                        "{{state}}",
                    ),
                ),
                Panel(
                    title="Runs that ended, a second",
                    stacked=True,
                    queries=one("sum by (status) (runwatch:runs_ended:rate5m)", "{{status}}"),
                ),
                Panel(
                    title="Slots",
                    queries=one('runwatch:node_slots:max{kind=~"capacity|allocated"}', "{{kind}}"),
                ),
            ],
        ),
        Row(
            title="How soon",
            panels=[
                Panel(
                    title="Change to screen, p99",
                    unit="s",
                    queries=one("runwatch:feed_lag_seconds:p99_5m", "{{channel}}"),
                ),
                Panel(
                    title="Creation to claim, p95",
                    unit="s",
                    queries=one("runwatch:queue_wait_seconds:p95_15m", "wait"),
                ),
                Panel(title="Alerts", kind="alertlist", queries=[]),
            ],
        ),
    ],
)

RUNS: Final = Dashboard(
    uid="runwatch-runs",
    title="Runwatch: runs and cost",
    variables=[("agent_type", "api_runs_total")],
    rows=[
        Row(
            title="Runs",
            panels=[
                Panel(
                    title="Runs by status",
                    stacked=True,
                    queries=one(
                        "sum by (status) (max by (status, agent_type)"
                        ' (api_runs_total{status=~"queued|assigned|running",agent_type=~"$agent_type"}))',
                        "{{status}}",
                    ),
                ),
                Panel(
                    title="Ended, by agent",
                    stacked=True,
                    queries=one(
                        'sum by (agent_type) (runwatch:runs_ended:rate5m{agent_type=~"$agent_type"})',
                        "{{agent_type}}",
                    ),
                ),
                Panel(
                    title="Failed or timed out, of the last half hour",
                    unit="percentunit",
                    queries=one("runwatch:runs_failed:ratio30m", "failed"),
                ),
                Panel(
                    title="Health flags",
                    queries=one("max by (health) (runwatch_unhealthy)", "{{health}}"),
                ),
                Panel(
                    title="Waits for a person",
                    queries=one("max by (kind) (runwatch_waiting)", "{{kind}}"),
                ),
                Panel(
                    title="Duration",
                    unit="s",
                    queries=[
                        Query(
                            expr=f"histogram_quantile({q}, sum by (le) (max by (le, agent_type, status)"
                            f' (rate(api_run_duration_seconds_bucket{{agent_type=~"$agent_type"}}[{WAIT}]))))',
                            legend=f"p{q * 100:.0f}",
                        )
                        for q in (0.5, 0.95)
                    ],
                ),
                Panel(
                    title="Creation to claim",
                    unit="s",
                    queries=quantiles("runwatch_queue_wait_seconds", whole_fleet=True),
                ),
                Panel(
                    title="Queued again",
                    queries=one(
                        f"max by (reason) (rate(runwatch_runs_requeued_total[{WAIT}]))",
                        "{{reason}}",
                    ),
                ),
                Panel(
                    title="Tasks by status",
                    queries=one("max by (status) (api_tasks_total)", "{{status}}"),
                ),
            ],
        ),
        Row(
            title="Tokens, cost and tools",
            panels=[
                Panel(
                    title="Cost in an hour",
                    unit="currencyUSD",
                    stacked=True,
                    queries=one(
                        'runwatch:cost_usd_per_hour:rate1h{agent_type=~"$agent_type"}',
                        "{{agent_type}}",
                    ),
                ),
                Panel(
                    title="Tokens a second",
                    stacked=True,
                    queries=one(
                        'sum by (kind) (runwatch:tokens:rate5m{agent_type=~"$agent_type"})',
                        "{{kind}}",
                    ),
                ),
                Panel(
                    title="Tool calls a second",
                    stacked=True,
                    queries=one(
                        "sum by (outcome) (max by (outcome, agent_type)"
                        f' (rate(runwatch_tool_calls_total{{agent_type=~"$agent_type"}}[{WAIT}])))',
                        "{{outcome}}",
                    ),
                ),
                Panel(
                    title="Cost since the servers began",
                    kind="bargauge",
                    unit="currencyUSD",
                    width=12,
                    queries=one(
                        'max by (agent_type) (runwatch_cost_usd_total{agent_type=~"$agent_type"})',
                        "{{agent_type}}",
                    ),
                ),
                Panel(
                    title="Alerts by webhook",
                    width=12,
                    queries=one(
                        f"sum by (outcome) (max by (kind, outcome) (rate(runwatch_alerts_total[{WAIT}])))",
                        "{{outcome}}",
                    ),
                ),
            ],
        ),
    ],
)

NODES: Final = Dashboard(
    uid="runwatch-nodes",
    title="Runwatch: nodes",
    variables=[("node_id", "executor_capacity")],
    rows=[
        Row(
            title="What they do",
            panels=[
                Panel(
                    title="Runs at work",
                    stacked=True,
                    queries=one('executor_tasks_running{node_id=~"$node_id"}', "{{node_id}}"),
                ),
                Panel(
                    title="Share of the slots in use",
                    unit="percentunit",
                    queries=one(
                        '(executor_tasks_running{node_id=~"$node_id"}'
                        ' + executor_tasks_pending{node_id=~"$node_id"})'
                        ' / executor_capacity{node_id=~"$node_id"}',
                        "{{node_id}}",
                    ),
                ),
                Panel(
                    title="Runs that ended, a second",
                    stacked=True,
                    queries=one(
                        f'sum by (status) (rate(executor_tasks_total{{node_id=~"$node_id"}}[{WAIT}]))',
                        "{{status}}",
                    ),
                ),
                Panel(
                    title="Duration of runs, p95",
                    unit="s",
                    queries=one(
                        "histogram_quantile(0.95, sum by (driver, le)"
                        f' (rate(executor_task_duration_seconds_bucket{{node_id=~"$node_id"}}[{WAIT}])))',
                        "{{driver}}",
                    ),
                ),
                Panel(
                    title="Claims a second",
                    queries=one(
                        f'sum by (result) (rate(executor_claims_total{{node_id=~"$node_id"}}[{WAIT}]))',
                        "{{result}}",
                    ),
                ),
                Panel(
                    title="Containers at work",
                    queries=one('executor_containers_running{node_id=~"$node_id"}', "{{node_id}}"),
                ),
                Panel(
                    title="Container starts a second",
                    queries=one(
                        "sum by (status) (rate("
                        f'executor_container_starts_total{{node_id=~"$node_id"}}[{WAIT}]))',
                        "{{status}}",
                    ),
                ),
                Panel(
                    title="Sessions found and shown",
                    queries=one('executor_sessions{node_id=~"$node_id"}', "{{node_id}}"),
                ),
                Panel(
                    title="Logins",
                    queries=[
                        Query(
                            expr='executor_auth_tasks_running{node_id=~"$node_id"}',
                            legend="at work {{node_id}}",
                        ),
                        Query(
                            expr="sum by (status) (rate("
                            f'executor_auth_tasks_total{{node_id=~"$node_id"}}[{WAIT}]))',
                            legend="{{status}} a second",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            title="How they get it to the server",
            panels=[
                Panel(
                    title="Events a second",
                    stacked=True,
                    queries=one(
                        'sum by (node_id) (rate(executor_events_reported_total{node_id=~"$node_id"}'
                        f"[{WAIT}]))",
                        "{{node_id}}",
                    ),
                ),
                Panel(
                    title="Spool in use",
                    unit="percentunit",
                    queries=one('runwatch:node_spool:ratio{node_id=~"$node_id"}', "{{node_id}}"),
                ),
                Panel(
                    title="Oldest event not delivered",
                    unit="s",
                    says="0 where none waits.",
                    queries=one(
                        '(time() - executor_spool_oldest_timestamp_seconds{node_id=~"$node_id"})'
                        ' * (executor_spool_oldest_timestamp_seconds{node_id=~"$node_id"} > bool 0)',
                        "{{node_id}}",
                    ),
                ),
                Panel(
                    title="Answer to a batch",
                    unit="s",
                    queries=quantiles("executor_event_report_latency_seconds"),
                ),
                Panel(
                    title="Events in a batch",
                    queries=quantiles("executor_event_report_batch_events"),
                ),
                Panel(
                    title="Batches without success, a second",
                    queries=one(
                        "sum by (code) (rate(executor_event_report_errors_total"
                        f'{{node_id=~"$node_id"}}[{WAIT}]) > 0) or vector(0)',
                        "{{code}}",
                    ),
                ),
                Panel(
                    title="Heartbeat",
                    unit="s",
                    queries=quantiles("executor_heartbeat_latency_seconds"),
                ),
                Panel(
                    title="Heartbeats without an answer, a second",
                    queries=one(
                        f'rate(executor_heartbeat_errors_total{{node_id=~"$node_id"}}[{WAIT}])',
                        "{{node_id}}",
                    ),
                ),
                Panel(
                    title="Lost leases, cut events",
                    queries=[
                        Query(
                            expr="sum(increase("
                            f'executor_leases_lost_total{{node_id=~"$node_id"}}[{WAIT}]))',
                            legend="leases lost",
                        ),
                        Query(
                            expr="sum(increase("
                            f'executor_events_truncated_total{{node_id=~"$node_id"}}[{WAIT}]))',
                            legend="events cut",
                        ),
                    ],
                ),
            ],
        ),
    ],
)

SERVER: Final = Dashboard(
    uid="runwatch-server",
    title="Runwatch: server internals",
    variables=[("instance", "runwatch_build_info")],
    rows=[
        Row(
            title="Requests",
            panels=[
                Panel(
                    title="Requests a second",
                    stacked=True,
                    queries=one("sum by (status) (runwatch:http_requests:rate5m)", "{{status}}"),
                ),
                Panel(
                    title="Time to answer",
                    unit="s",
                    queries=quantiles("http_request_duration_seconds"),
                ),
                Panel(
                    title="Turned away, a second",
                    queries=one(
                        "sum by (code) (rate(runwatch_requests_rejected_total"
                        f'{{instance=~"$instance"}}[{WAIT}]) > 0) or vector(0)',
                        "{{code}}",
                    ),
                ),
                Panel(
                    title="In flight",
                    queries=one(
                        'api_http_requests_in_flight{instance=~"$instance"}', "{{instance}}"
                    ),
                ),
                Panel(
                    title="Credentials a second",
                    queries=one(
                        "sum by (kind, result) (rate(runwatch_auth_total"
                        f'{{instance=~"$instance"}}[{WAIT}]))',
                        "{{kind}} {{result}}",
                    ),
                ),
                Panel(
                    title="OpenTelemetry records a second",
                    queries=one(
                        "sum by (signal, outcome) (rate(runwatch_otlp_records_total"
                        f'{{instance=~"$instance"}}[{WAIT}]))',
                        "{{signal}} {{outcome}}",
                    ),
                ),
            ],
        ),
        Row(
            title="Writing",
            panels=[
                Panel(
                    title="Events a second",
                    stacked=True,
                    queries=one("runwatch:ingest_events:rate5m", "{{result}}"),
                ),
                Panel(
                    title="Commit",
                    unit="s",
                    queries=quantiles("runwatch_ingest_commit_seconds"),
                ),
                Panel(
                    title="Events in a commit",
                    queries=quantiles("runwatch_ingest_batch_events"),
                ),
                Panel(
                    title="Events waiting for the writer",
                    queries=one(
                        'runwatch_ingest_queue_events{instance=~"$instance"}', "{{instance}}"
                    ),
                ),
                Panel(
                    title="Batches refused, a second",
                    queries=one(
                        "sum by (code) (rate(runwatch_ingest_refused_total"
                        f'{{instance=~"$instance"}}[{WAIT}]) > 0) or vector(0)',
                        "{{code}}",
                    ),
                ),
                Panel(
                    title="Revisions a second",
                    queries=one(f"max(rate(runwatch_revision[{WAIT}]))", "revisions"),
                ),
                Panel(
                    title="Statements a second",
                    queries=one(
                        "sum by (operation) (rate(api_db_queries_total"
                        f'{{instance=~"$instance"}}[{WAIT}]))',
                        "{{operation}}",
                    ),
                ),
                Panel(
                    title="Statements, p95",
                    unit="s",
                    queries=one(
                        "histogram_quantile(0.95, sum by (operation, le) (rate("
                        f'api_db_query_duration_seconds_bucket{{instance=~"$instance"}}[{WAIT}])))',
                        "{{operation}}",
                    ),
                ),
                Panel(
                    title="Errors of the store",
                    queries=one(
                        "sum by (kind) (increase(runwatch_store_errors_total"
                        f'{{instance=~"$instance"}}[{WAIT}]))',
                        "{{kind}}",
                    ),
                ),
                Panel(
                    title="Write-ahead log",
                    unit="bytes",
                    queries=one('runwatch_sqlite_wal_bytes{instance=~"$instance"}', "{{instance}}"),
                ),
                Panel(
                    title="Room on the disk",
                    unit="bytes",
                    queries=one('runwatch_disk_free_bytes{instance=~"$instance"}', "{{instance}}"),
                ),
                Panel(
                    title="Search index behind",
                    queries=one(
                        'runwatch_search_behind_revisions{instance=~"$instance"}', "{{instance}}"
                    ),
                ),
            ],
        ),
        Row(
            title="Showing",
            panels=[
                Panel(
                    title="Sockets",
                    stacked=True,
                    queries=one(
                        'sum by (channel) (runwatch_websocket_connections{instance=~"$instance"})',
                        "{{channel}}",
                    ),
                ),
                Panel(
                    title="Commit to socket",
                    unit="s",
                    queries=quantiles("runwatch_feed_lag_seconds", by="channel"),
                ),
                Panel(
                    title="Rows not sent, worst reader",
                    queries=one("max by (channel) (runwatch_feed_mailbox_rows_max)", "{{channel}}"),
                ),
                Panel(
                    title="Frames sent a second",
                    stacked=True,
                    queries=one(
                        "sum by (type) (rate(api_websocket_messages_total"
                        f'{{direction="out",instance=~"$instance"}}[{WAIT}]))',
                        "{{type}}",
                    ),
                ),
                Panel(
                    title="Changes merged for slow readers, a second",
                    queries=one(f"sum(rate(runwatch_feed_merged_changes_total[{WAIT}]))", "merged"),
                ),
                Panel(
                    title="Closed and sent anew",
                    queries=[
                        Query(
                            expr="sum by (channel, code) (increase(runwatch_websocket_closes_total"
                            f"[{WAIT}]))",
                            legend="{{channel}} {{code}}",
                        ),
                        Query(
                            expr=f"sum by (reason) (increase(runwatch_feed_resyncs_total[{WAIT}]))",
                            legend="resync {{reason}}",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            title="Fleet and process",
            panels=[
                Panel(
                    title="Leases",
                    queries=one("max by (kind) (runwatch_leases_active)", "{{kind}}"),
                ),
                Panel(
                    title="Leases that ran out, fenced writes",
                    queries=[
                        Query(
                            expr="max by (outcome) (increase("
                            f"runwatch_lease_expirations_total[{WAIT}]))",
                            legend="{{outcome}}",
                        ),
                        Query(
                            expr=f"sum(increase(runwatch_fenced_writes_total[{WAIT}]))",
                            legend="fenced",
                        ),
                    ],
                ),
                Panel(
                    title="Scheduler",
                    unit="s",
                    queries=quantiles("api_scheduler_cycle_duration_seconds"),
                ),
                Panel(
                    title="Assigned a second",
                    queries=one(
                        f"sum(rate(api_scheduler_runs_assigned_total[{WAIT}]))", "assigned"
                    ),
                ),
                Panel(
                    title="Event loop late, p99",
                    unit="s",
                    queries=one(
                        'runwatch:event_loop_lag_seconds:p99_5m{instance=~"$instance"}',
                        "{{instance}}",
                    ),
                ),
                Panel(
                    title="Processor",
                    unit="percentunit",
                    queries=one(
                        'rate(process_cpu_seconds_total{job="runwatch-server",'
                        f'instance=~"$instance"}}[{WAIT}])',
                        "{{instance}}",
                    ),
                ),
                Panel(
                    title="Memory",
                    unit="bytes",
                    queries=one(
                        'process_resident_memory_bytes{job="runwatch-server",instance=~"$instance"}',
                        "{{instance}}",
                    ),
                ),
                Panel(
                    title="Open files",
                    queries=one(
                        'process_open_fds{job="runwatch-server",instance=~"$instance"}',
                        "{{instance}}",
                    ),
                ),
                Panel(
                    title="Certificate ends in",
                    unit="s",
                    queries=one(
                        '(runwatch_certificate_expiry_timestamp_seconds{instance=~"$instance"} > 0)'
                        " - time()",
                        "{{instance}}",
                    ),
                ),
                Panel(
                    title="Worst clock of a node",
                    unit="s",
                    queries=one("max(runwatch_node_clock_skew_seconds)", "skew"),
                ),
                Panel(
                    title="Events removed by retention, a second",
                    queries=one(
                        f"sum(rate(runwatch_retention_removed_events_total[{WAIT}]))", "removed"
                    ),
                ),
                Panel(
                    title="Long polls a second",
                    queries=one(f"sum(rate(runwatch_long_poll_seconds_count[{WAIT}]))", "polls"),
                ),
            ],
        ),
    ],
)

DASHBOARDS: Final = (OVERVIEW, RUNS, NODES, SERVER)


def texts() -> dict[Path, str]:
    """The files and what is in them."""
    return {
        FOLDER / f"{dashboard.uid}.json": json.dumps(dashboard_json(dashboard), indent=1) + "\n"
        for dashboard in DASHBOARDS
    }


if __name__ == "__main__":
    for file, text in texts().items():
        file.write_text(text)
