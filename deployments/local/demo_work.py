"""What the runs of the demonstration do: small programs of different lengths and endings."""

import os
import signal
import sys
import time
from collections.abc import Callable

CHINESE = (
    "正在整理文档目录",
    "检查标点和空格：全角、半角",
    "翻译术语表，第三章",
    "合并重复的段落",
    "生成索引，共一百二十条",
)


def say(line: str, wait_s: float = 0.0) -> None:
    """One line, at once, and then some time."""
    print(line, flush=True)
    time.sleep(wait_s)


def train() -> int:
    """Long: ten minutes, a line a second."""
    for step in range(1, 601):
        say(f"step {step}/600  loss {2.5 / (1 + step / 40):.4f}  lr 3.0e-4", 1.0)
    return 0


def test_suite() -> int:
    """Fails after half a minute."""
    for number in range(1, 25):
        say(f"tests/billing/test_invoice_{number:02}.py ....... ok", 1.0)
    say("tests/billing/test_refund.py F")
    say("E   AssertionError: expected 0, found 3 open refunds")
    say("1 failed, 24 passed")
    return 1


def access_log() -> int:
    """Prints thousands of lines."""
    for number in range(6000):
        status = 500 if number % 97 == 0 else 200
        print(f'10.0.{number % 8}.{number % 250} "GET /api/v1/items/{number}" {status}', flush=True)
        if number % 100 == 99:
            time.sleep(0.25)
    return 0


def documents() -> int:
    """In Chinese, a minute and a half."""
    for number in range(45):
        say(f"{CHINESE[number % len(CHINESE)]}（{number + 1}/45）", 2.0)
    say("完成：所有文档已更新")
    return 0


def lint() -> int:
    """Short and well."""
    say("checking 412 files", 2.0)
    say("no problems found")
    return 0


def migrate() -> int:
    """A quarter of a minute, well."""
    for name in ("0007_orders", "0008_refunds", "0009_index", "0010_counters"):
        say(f"applying {name}", 3.5)
    say("schema is at 0010")
    return 0


def build() -> int:
    """A minute, well."""
    for number in range(1, 41):
        say(f"[{number:2}/40] compiling module_{number:02}", 1.5)
    return 0


def crash() -> int:
    """Ends by a signal."""
    say("loading plugin", 6.0)
    say("plugin returned an impossible address")
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def backup() -> int:
    """Would take longer than it may."""
    for number in range(1, 1000):
        say(f"copied {number * 128} MiB", 1.0)
    return 0


WORK: dict[str, Callable[[], int]] = {
    "train": train,
    "test-suite": test_suite,
    "access-log": access_log,
    "documents": documents,
    "lint": lint,
    "migrate": migrate,
    "build": build,
    "crash": crash,
    "backup": backup,
}

if __name__ == "__main__":
    sys.exit(WORK[sys.argv[1]]())
