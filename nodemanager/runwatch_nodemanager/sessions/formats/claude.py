"""Claude Code's transcripts: entries of ``~/.claude/projects/*/*.jsonl`` as events.

Blocks are read as in the stream (`agents.claude_blocks`). Entry types: `agent-formats`, section
1.5. Requests with the vendor's own prompt in them are known and never forwarded.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.claude_blocks import CALL_BLOCKS, assistant_block, user_block
from runwatch_nodemanager.agents.claude_state import ClaudeState
from runwatch_nodemanager.agents.claude_usage import turn_usage
from runwatch_nodemanager.agents.json_values import (
    dict_at,
    int_at,
    joined_text,
    number_at,
    present,
    text_at,
)
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.formats.protocol import EntryState, text_of
from runwatch_nodemanager.sessions.formats.totals import Totals

SYNTHETIC: Final = "<synthetic>"
INTERRUPTED: Final = "[Request interrupted by user"
LANE_CHARS: Final = 7
"""Of a sub-agent's id in the name of its lane."""
ENDING_REASONS: Final = frozenset({"end_turn", "stop_sequence", "max_tokens", "refusal"})
QUIET_TYPES: Final = frozenset(
    {
        "summary",
        "ai-title",
        "custom-title",
        "agent-name",
        "queue-operation",
        "file-history-snapshot",
        "last-prompt",
        "tools-used",
        "permission-mode",
        "mode",
        "progress",
        "worktree-state",
        "bridge-session",
        "atis-latch",
        "session_start",
        "relocated",
        "started",
        "api-request",
        "api-request-shape",
        "api-request-blob",
    }
)
QUIET_SYSTEM: Final = frozenset(
    {"session_start", "turn_duration", "stop_hook_summary", "api_metrics", "bridge_status"}
)
TOLD_ATTACHMENTS: Final = {
    "max_turns_reached": "the limit of turns was reached",
    "budget_usd": "the budget was reached",
}


class ClaudeSession(EntryState):
    blocks: ClaudeState = msgspec.field(default_factory=ClaudeState)
    totals: Totals = msgspec.field(default_factory=Totals)


class ClaudeReader:
    """One file of a session."""

    def __init__(self, saved: Any) -> None:
        self._state = msgspec.convert(saved or {}, ClaudeSession)
        self._of_type: dict[str, Callable[[Json], list[Draft]]] = {
            "user": self._user,
            "assistant": self._assistant,
            "attachment": self._attachment,
            "cost-state": self._cost,
            "result": self._subagent_result,
        }

    @property
    def state(self) -> ClaudeSession:
        return self._state

    def begin_run(self) -> None:
        self._state.totals.begin_run()

    def save(self) -> Any:
        return msgspec.to_builtins(self._state)

    def entry(self, value: Json) -> list[Draft] | None:
        state = self._state
        state.session_id = text_at(value, "sessionId") or state.session_id
        state.version = text_at(value, "version") or state.version
        kind = text_at(value, "type") or ""
        if kind in QUIET_TYPES:
            return []
        if kind == "system":
            return self._system(value)
        handler = self._of_type.get(kind)
        if handler is None:
            return None
        lane = _lane(value)
        return [Draft(draft.type, {**lane, **draft.payload}) for draft in handler(value)]

    def _user(self, value: Json) -> list[Draft]:
        content = dict_at(value, "message").get("content")
        if content is None:
            told = value.get("message")
            content = told if isinstance(told, str) else text_of(value)
            return [Draft("message", {"role": "system", "content": content})]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        written_by_hand = not (value.get("isMeta") or value.get("isCompactSummary"))
        drafts: list[Draft] = []
        for block in content if isinstance(content, list) else []:
            drafts += user_block(
                self._state.blocks, block, value.get("toolUseResult"), self._state.moment_us
            )
            if text_at(block, "type") == "tool_result":
                self._state.turn = "working"
            elif (text_at(block, "text") or "").startswith(INTERRUPTED):
                self._state.turn = "done"
            elif written_by_hand:
                self._state.turn, self._state.error = "working", None
        if written_by_hand:
            return drafts
        return [
            Draft(draft.type, {**draft.payload, "role": "system"})
            if draft.type == "message"
            else draft
            for draft in drafts
        ]

    def _assistant(self, value: Json) -> list[Draft]:
        state, message = self._state, dict_at(value, "message")
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        failure = text_at(value, "error")
        if value.get("isApiErrorMessage") is True:
            failure = failure or "api_error"
        drafts = [
            draft
            for block in blocks
            for draft in assistant_block(state.blocks, block, state.moment_us, failure=failure)
        ]
        self._judge(message, blocks, failure)
        usage = self._usage(value, message)
        if drafts and usage is not None:
            drafts[0] = Draft(drafts[0].type, {**drafts[0].payload, "usage": usage})
        return drafts

    def _judge(self, message: Json, blocks: list[Any], failure: str | None) -> None:
        """Where the turn stands after what the model said."""
        calls = any(text_at(block, "type") in CALL_BLOCKS for block in blocks)
        texts = any(text_at(block, "type") == "text" for block in blocks)
        reason = text_at(message, "stop_reason")
        if failure is not None:
            self._state.turn, self._state.error = "failed", joined_text(blocks) or failure
        elif reason in ENDING_REASONS or (reason is None and texts and not calls):
            self._state.turn = "done"
        else:
            self._state.turn = "working"

    def _usage(self, value: Json, message: Json) -> Json | None:
        state, model = self._state, text_at(message, "model")
        message_id, told = text_at(message, "id"), dict_at(message, "usage")
        if not told or message_id is None or model == SYNTHETIC:
            return None
        state.model = model or state.model
        key = f"{message_id}/{text_at(value, 'requestId') or ''}"
        usage = turn_usage(state.blocks.usage, key, told, model=model, session_id=state.session_id)
        if usage is not None:
            state.totals.add(usage)
        return usage

    def _attachment(self, value: Json) -> list[Draft]:
        attached = dict_at(value, "attachment")
        kind = text_at(attached, "type") or ""
        if kind in TOLD_ATTACHMENTS:
            return [Draft("warning", {"code": kind, "message": TOLD_ATTACHMENTS[kind]})]
        if kind == "queued_command":
            prompt = joined_text(attached.get("prompt"))
            return [Draft("message", {"role": "user", "content": prompt})] if prompt else []
        code = int_at(attached, "exitCode")
        if kind.startswith("hook") and code not in (None, 0):
            name = text_at(attached, "hookName") or "hook"
            message = f"{name} exited with code {code}"
            return [Draft("warning", {"code": "hook_failed", "message": message})]
        return []

    def _cost(self, value: Json) -> list[Draft]:
        """``cost-state``: totals of the session, sub-agents and helper models included."""
        models = [one for one in dict_at(value, "modelUsage").values() if isinstance(one, dict)]
        totals: Json = {
            ours: sum(int_at(model, theirs) or 0 for model in models)
            for ours, theirs in (
                ("input_tokens", "inputTokens"),
                ("output_tokens", "outputTokens"),
                ("cache_read_tokens", "cacheReadInputTokens"),
                ("cache_write_tokens", "cacheCreationInputTokens"),
            )
        }
        cost = number_at(value, "totalCostUSD")
        if value.get("hasUnknownModelCost") is True:
            cost = None
        usage = self._state.totals.of_run(totals, cost)
        facts = present(session_id=self._state.session_id, model=self._state.model)
        payload = present(
            result="",
            duration_ms=int_at(value, "totalDuration"),
            usage={"scope": "total", **usage, **facts} if models else None,
        )
        return [Draft("result", payload)]

    def _subagent_result(self, value: Json) -> list[Draft]:
        """A workflow's agent ended; what it found is in the lead's tool result."""
        return []

    def _system(self, value: Json) -> list[Draft] | None:
        kind = text_at(value, "subtype") or ""
        content = text_at(value, "content")
        if kind in QUIET_SYSTEM:
            return []
        if kind == "api_error":
            attempt, most = int_at(value, "retryAttempt"), int_at(value, "maxRetries")
            message = f"retry {attempt} of {most} after {_cause(value)}"
            return [Draft("warning", {"code": "api_retry", "message": message})]
        if kind in {"error", "api_refusal"}:
            return [Draft("warning", {"code": kind, "message": content or _cause(value)})]
        if kind == "compact_boundary":
            before = int_at(value, "compactMetadata", "preTokens")
            size = f" ({before} tokens before)" if before is not None else ""
            told = f"context compacted{size}"
            return [Draft("message", {"role": "system", "content": told})]
        if kind in {"local_command", "informational", "away_summary"} and content:
            return [Draft("message", {"role": "system", "content": content})]
        return None


def _cause(value: Json) -> str:
    error = value.get("error")
    parts = (
        int_at(error, "status"),
        text_at(error, "message") or text_at(error, "error", "message"),
        error if isinstance(error, str) else None,
    )
    return " ".join(str(part) for part in parts if part is not None) or "an error"


def _lane(value: Json) -> Json:
    """Who speaks; older versions keep sub-agents in the lead's own file."""
    if value.get("isSidechain") is not True:
        return {}
    agent = text_at(value, "agentId")
    return {"lane": f"agent-{agent[:LANE_CHARS]}" if agent else "agent"}
