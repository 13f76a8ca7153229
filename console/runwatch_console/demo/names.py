"""What things are called in the made-up fleet."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class AgentKind:
    """An agent type as the fleet runs it; prices in dollars for a million tokens."""

    type: str
    model: str
    shell: str
    edit: str
    read: str
    search: str
    price: float


CLAUDE: Final = AgentKind("claude-code", "claude-sonnet-4-5", "Bash", "Edit", "Read", "Grep", 6.0)
CODEX: Final = AgentKind("openai-codex", "gpt-5-codex", "shell", "apply_patch", "read", "rg", 4.0)
GEMINI: Final = AgentKind(
    "gemini-cli", "gemini-2.5-pro", "run_shell_command", "replace", "read_file", "glob", 3.0
)
QWEN: Final = AgentKind(
    "qwen-code", "qwen3-coder", "run_shell_command", "edit", "read_file", "search", 1.0
)
COMMAND: Final = AgentKind("command", "", "command", "", "", "", 0.0)

AGENTS: Final = (CLAUDE, CLAUDE, CLAUDE, CODEX, CODEX, GEMINI, QWEN, COMMAND)
"""Drawn from; the more often it stands here, the more there are."""

TASKS: Final = (
    "fix-auth",
    "refactor-billing",
    "add-metrics",
    "bump-deps",
    "release-notes",
    "flaky-tests",
    "docs",
    "migrate-db",
    "triage-inbox",
    "load-test",
    "nightly-eval",
    "i18n-check",
    "cleanup-feature-flags",
    "翻译-用户手册",
    "修复-支付回调",
    "数据-清洗",
    "重构-订单服务",
)
COMMANDS: Final = ("backup", "build-image", "lint-all", "sync-mirror", "smoke-test")
FILES: Final = (
    "src/auth/session.py",
    "src/billing/invoice.py",
    "src/metrics/export.py",
    "tests/test_invoice.py",
    "docs/操作手册.md",
    "web/src/App.tsx",
    "migrations/0042_orders.sql",
    "pyproject.toml",
)
SHELLS: Final = (
    "pytest -q tests/billing",
    "git diff --stat",
    "npm run build",
    "ruff check .",
    "rg -n TODO src",
    "alembic upgrade head",
    "make check",
    "curl -s localhost:8000/health",
)
PATTERNS: Final = ("retry_on_timeout", "class Invoice", "TODO\\(", "订单号", "def export")
SAYINGS: Final = (
    "I look at the failing test first.",
    "The rounding is off by one cent; the tax is applied twice.",
    "That passes now. I check the other callers.",
    "The migration needs an index, or the deploy will take hours.",
    "I split the function; the tests stay as they are.",
    "Two callers depend on the old order, I keep it.",
)
CHINESE_SAYINGS: Final = (
    "先看一下失败的测试。",
    "四舍五入有一分钱的误差，税被算了两次。",
    "现在通过了 ✅，我再检查其他调用方。",
    "这个迁移需要加索引，否则上线会很慢。",
)
THOUGHTS: Final = (
    "The fixture builds the order before the customer exists.",
    "Maybe the cache is stale; compare both paths.",
    "A retry hides the first error here.",
)
APPROVALS: Final = (
    ("approval", "git push origin main?"),
    ("approval", "run migrations on the staging database?"),
    ("question", "which version: 2.4.0 or 3.0.0?"),
    ("question", "选择哪个发布分支？"),
    ("input", "name of the bucket for the exports?"),
)
OUTPUTS: Final = (
    "42 passed in 3.11s",
    "3 failed, 39 passed\nE   assert 1200 == 1201\ntests/billing/test_invoice.py:88",
    "built 214 modules in 6.2s",
    "no issues found",
)
TEAMS: Final = ("billing", "web", "platform", "数据")
NODES: Final = (
    ("n1", "build-01", ""),
    ("n2", "build-02", ""),
    ("n3", "gpu-01", ""),
    ("n4", "build-03", ""),
    ("n5", "big-05", "大机器-五号"),
    ("n6", "edge-06", ""),
)
SILENT_NODE: Final = "n6"
LOGIN_MISSING_NODE: Final = "n3"
