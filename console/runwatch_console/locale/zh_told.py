"""Chinese words of what the server tells in sentences of a known form."""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    # Why a run is queued (contract 12).
    "queue.joint": "；",
    "queue.no_nodes": "没有已知节点",
    "queue.none_online": "没有在线节点（已知 {n} 个）",
    "queue.none_offers": "没有在线节点提供 {agent}",
    "queue.none_has": "没有在线节点带 {labels}",
    "queue.full": "{nodes} 已满{numbers}",
    "queue.lacks_login": "{nodes} 缺少 {agent} 的登录",
    "queue.not_ready": "{nodes} 的 {agent} 未就绪",
    "queue.pinned": "指定 {node}：{why}",
    "queue.instance": "实例 {id}：{why}",
    "queue.maintenance": "{nodes} 维护中",
    "queue.draining": "{nodes} 排空中",
    "queue.unclaimed": "{node} 在 {t} 内未领取，正在重试",
    "queue.placing": "等待调度",
    "queue.offline": "{nodes} 离线",
    "queue.without": "{nodes} 没有 {what}",
    "queue.more": "另有 {n} 个",
    "queue.why_full": "已满{numbers}",
    "queue.why_offline": "离线",
    "queue.why_draining": "排空中",
    "queue.why_maintenance": "维护中",
    "queue.why_not_known": "未知",
    "queue.why_stopped": "已停止",
    "queue.why_elsewhere": "不在此节点",
    "queue.why_lacks_login": "缺少 {agent} 的登录",
    "queue.why_without": "没有 {what}",
    "queue.why_room": "有空位，等待调度",
    # Why a run is unhealthy (contract 6.3).
    "health.looping": "最近 {m} 次中有 {n} 次相同的 {tool} 调用",
    "health.stalled": "静默超过 {t}，没有进行中的工具",
    "health.slow": "运行超过 {t}",
    "health.stuck_queued": "排队超过 {t}",
    "health.waiting_long": "等待超过 {t}",
    # Codes of errors (contract 5.3): English keeps the code.
    "error.no_result": "没有结果",
    "error.agent_error": "智能体出错",
    "error.limit_reached": "达到上限",
    "error.start_failed": "启动失败",
    "error.workspace_failed": "工作区失败",
    "error.agent_missing": "缺少智能体",
    "error.login_missing": "缺少登录",
    "error.interrupted": "被中断",
    "error.node_lost": "节点丢失",
    "error.timeout": "超时",
    "error.cancel_unconfirmed": "取消未确认",
    "error.auth_failed": "认证失败",
}
