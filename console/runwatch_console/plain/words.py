"""The words of the console in lines, in English and Chinese, beside those of the commands."""

from collections.abc import Mapping
from typing import Final

from runwatch_console.headless.words import HeadlessWords

EN: Final[Mapping[str, str]] = {
    "plain.begin": "Runwatch, {context}, {url}. Type help and press Enter for the commands.",
    "plain.connected": "Connected.",
    "plain.caught_up": "Connected again, {n} events caught up.",
    "plain.late": "Late: nothing from the server for {age}.",
    "plain.on_time": "On time again.",
    "plain.counts": "Runs: {total}. {counts}.",
    "plain.count": "{n} {state}",
    "plain.no_runs": "No runs yet.",
    "plain.nodes": "Nodes online: {online} of {all}.",
    "plain.needs": "Needs you: {n}.",
    "plain.unhealthy": "Unhealthy or failed: {n}.",
    "plain.nothing_needed": "Nothing needs you.",
    "plain.gone": "gone, {id}, {name}",
    "plain.gone_word": "gone",
    "plain.node": "node {state}, {id}, {slots}",
    "plain.node_gone": "node gone, {id}",
    "plain.more": "{n} more changed: {counts}. Type runs to hear them.",
    "plain.help": (
        "Commands, each a line:\n"
        "needs - what needs somebody, in order of need\n"
        "runs FILTER - runs, those that need somebody first; for example runs s:wait\n"
        "more - go on with the list\n"
        "run ID - what is known of a run, and its last events; the end of an id is enough\n"
        "explain ID - why it is queued, waiting, stalled, looping or failed\n"
        "follow ID - its events as they come; follow without an id ends that\n"
        "cancel ID - cancel a run; asks first\n"
        "nodes - the nodes\n"
        "status - counts and connection\n"
        "verbose on, verbose off - tell activities too, or states only\n"
        "hold, go - hold changes back, or tell them again\n"
        "retry - connect now\n"
        "quit - end"
    ),
    "plain.unknown": "{typed}: no such command. Type help.",
    "plain.needs_id": "{command} needs the id of a run.",
    "plain.no_run": "{typed}: no run with this id.",
    "plain.many_runs": "{typed}: {n} runs have an id that ends so: {ids}",
    "plain.filter": "That filter is not understood: {problem}",
    "plain.no_match": "0 of {total} match.",
    "plain.shown": "{shown} of {total}. Type more to go on.",
    "plain.all_shown": "{shown} of {total}.",
    "plain.no_more": "There is no more.",
    "plain.events": "Last events of {id}:",
    "plain.no_events": "No events yet.",
    "plain.following": "Following {id}.",
    "plain.follow_ended": "No longer following {id}.",
    "plain.more_events": "{n} more events.",
    "plain.gap": "Gap, {from_seq} to {to_seq}: {reason}.",
    "plain.ended": "{id} ended: {status}.",
    "plain.ask_cancel": (
        "Cancel {id}, {name}, {state}? Type yes to do it, anything else to leave it."
    ),
    "plain.left": "Left as it is.",
    "plain.cancelled": "{id}: asked to end, now {status}.",
    "plain.over": "{id} is over already.",
    "plain.refused": "Not done: {error}",
    "plain.read_only": "Read only: nothing can be cancelled here.",
    "plain.not_loaded": "Nothing has arrived from the server yet.",
    "plain.verbose_on": "Activities are told too.",
    "plain.verbose_off": "States only.",
    "plain.held": "Held. Type go to hear changes again.",
    "plain.go": "Telling again; {n} rows changed meanwhile.",
    "plain.retrying": "Connecting now.",
    "plain.end": "End.",
}

ZH: Final[Mapping[str, str]] = {
    "plain.begin": "Runwatch，{context}，{url}。输入 help 并按回车查看命令。",
    "plain.connected": "已连接。",
    "plain.caught_up": "已重新连接，补上 {n} 个事件。",
    "plain.late": "延迟：服务器已 {age} 没有消息。",
    "plain.on_time": "已恢复及时。",
    "plain.counts": "{total} 个运行。{counts}。",
    "plain.count": "{n} 个{state}",
    "plain.no_runs": "还没有运行。",
    "plain.nodes": "{all} 个节点中 {online} 个在线。",
    "plain.needs": "需要您处理：{n} 个。",
    "plain.unhealthy": "异常或失败：{n} 个。",
    "plain.nothing_needed": "没有需要您处理的。",
    "plain.gone": "已移除，{id}，{name}",
    "plain.gone_word": "已移除",
    "plain.node": "节点{state}，{id}，{slots}",
    "plain.node_gone": "节点已移除，{id}",
    "plain.more": "另有 {n} 个变化：{counts}。输入 runs 收听。",
    "plain.help": (
        "命令，每行一个：\n"
        "needs - 需要处理的，按紧急程度\n"
        "runs 过滤 - 运行，需要处理的在前；例如 runs s:wait\n"
        "more - 继续列出\n"
        "run ID - 一个运行的已知情况和最近事件；ID 的末尾几位即可\n"
        "explain ID - 为什么排队、等待、停滞、循环或失败\n"
        "follow ID - 实时播报其事件；不带 ID 则停止\n"
        "cancel ID - 取消一个运行；会先询问\n"
        "nodes - 节点\n"
        "status - 计数和连接\n"
        "verbose on、verbose off - 也播报活动，或只播报状态\n"
        "hold、go - 暂停播报，或继续\n"
        "retry - 立即连接\n"
        "quit - 结束"
    ),
    "plain.unknown": "{typed}：没有这个命令。请输入 help。",
    "plain.needs_id": "{command} 需要一个运行的 ID。",
    "plain.no_run": "{typed}：没有此 ID 的运行。",
    "plain.many_runs": "{typed}：{n} 个运行的 ID 以此结尾：{ids}",
    "plain.filter": "无法理解该过滤：{problem}",
    "plain.no_match": "{total} 个中 0 个匹配。",
    "plain.shown": "{total} 个中的 {shown} 个。输入 more 继续。",
    "plain.all_shown": "{total} 个中的 {shown} 个。",
    "plain.no_more": "没有更多了。",
    "plain.events": "{id} 的最近事件：",
    "plain.no_events": "还没有事件。",
    "plain.following": "正在跟随 {id}。",
    "plain.follow_ended": "不再跟随 {id}。",
    "plain.more_events": "另有 {n} 个事件。",
    "plain.gap": "缺口，{from_seq} 到 {to_seq}：{reason}。",
    "plain.ended": "{id} 已结束：{status}。",
    "plain.ask_cancel": "取消 {id}，{name}，{state}？输入 yes 执行，输入其他则不变。",
    "plain.left": "保持不变。",
    "plain.cancelled": "{id}：已请求结束，现为 {status}。",
    "plain.over": "{id} 已经结束。",
    "plain.refused": "未执行：{error}",
    "plain.read_only": "只读：此处不能取消。",
    "plain.not_loaded": "服务器还没有发来任何内容。",
    "plain.verbose_on": "也播报活动。",
    "plain.verbose_off": "只播报状态。",
    "plain.held": "已暂停。输入 go 继续播报。",
    "plain.go": "继续播报；其间有 {n} 行变化。",
    "plain.retrying": "正在连接。",
    "plain.end": "结束。",
}

LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {"en": EN, "zh": ZH}


class PlainWords(HeadlessWords):
    """The words of the commands and those of the console in lines."""

    def __init__(self, language: str) -> None:
        super().__init__(language)
        self._table = {**self._table, **LANGUAGES[self.language]}
