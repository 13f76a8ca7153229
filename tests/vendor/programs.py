"""Programs that log in as the real ones do, in their words and with their ways of a terminal.

Each is found by its own name in a folder for the PATH; ``VENDOR_URL`` names their vendor. Standard
library only: they are started by other programs. What the real ones print is in the recordings.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

ESC: Final = "\x1b"
NAMES: Final = ("claude", "codex", "gemini", "qwen")
POLL_S: Final = 0.1


def put_programs(folder: Path) -> Path:
    """Write the programs into ``folder/bin``, and give that."""
    place = folder / "bin"
    place.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        path = place / name
        path.write_text(
            f"#!{sys.executable} -I\nimport sys\n"
            f"sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\n"
            f"from programs import main\nsys.exit(main({name!r}))\n"
        )
        path.chmod(0o755)
    return place


def ask(path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    url = os.environ.get("VENDOR_URL", "http://127.0.0.1:1")
    request = urllib.request.Request(f"{url}/stand-in/{path}", json.dumps(body).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def say(text: str, end: str = "\r\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def link(url: str) -> str:
    return f"{ESC}]8;;{url}\x07{ESC}[94m{url}{ESC}[39m{ESC}]8;;\x07"


def by_words(text: str) -> str:
    """As programs that draw place it: each word by a cursor move."""
    column, parts = 1, []
    for word in text.split():
        parts.append(f"{ESC}[{column}G{word}")
        column += len(word) + 1
    return "".join(parts)


def keep(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(json.dumps(value))


def claude(arguments: list[str]) -> int:
    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    credential = home / ".credentials.json"
    settings = home / "settings.json"
    match arguments:
        case ["auth", "login", *_]:
            return claude_login(credential)
        case ["setup-token"]:
            return claude_token()
        case ["auth", "status", *_]:
            keyed = settings.is_file() and "env" in json.loads(settings.read_text())
            known = credential.is_file() or keyed
            say(json.dumps({"loggedIn": known}))
            return 0 if known else 1
        case ["--version"]:
            say("2.1.330 (stand-in)")
            return 0
        case _:
            return claude_run(credential, settings)


def claude_login(credential: Path) -> int:
    say("Opening browser to sign in…")
    say("If the browser didn't open, visit:")
    try:
        page = ask("start")[1]["page"].replace("/authorize", "/oauth/authorize")
    except OSError as error:
        say(f"Couldn't log in: ECONNREFUSED {error}")
        return 1
    say(link(page.replace("http://", "https://")))
    say("Paste code here if prompted > ", end="")
    code = sys.stdin.readline().strip()
    say("Signing in…")
    status, tokens = ask("exchange", code=code)
    if status != 200:
        say("Couldn't log in: That code wasn't accepted. It may be incomplete or expired.")
        return 1
    later = int(time.time() * 1000) + 30 * 86_400_000
    oauth = {
        "accessToken": tokens["access"],
        "refreshToken": tokens["refresh"],
        "expiresAt": int(time.time() * 1000) + 28_800_000,
        "refreshTokenExpiresAt": later,
    }
    keep(credential, {"claudeAiOauth": oauth})
    say("Login successful.")
    return 0


def claude_token() -> int:
    """Draws; asks again after a wrong code once Enter is pressed."""
    while True:
        page = ask("start")[1]["page"].replace("/authorize", "/oauth/authorize")
        say(f"{ESC}[2J{ESC}[H{ESC}[1m" + by_words("This will guide you through auth token setup"))
        say(by_words("Browser didn't open? Use the URL below to sign in (c to copy)"))
        say(link(page.replace("http://", "https://")))
        say(by_words("Paste code here if prompted"))
        say("╭" + "─" * 40 + "╮\r\n│\r\n╰" + "─" * 40 + "╯")
        status, tokens = ask("exchange", code=sys.stdin.readline().strip())
        say(f"{ESC}[2J{ESC}[H Finishing sign-in…")
        if status == 200:
            say(by_words("✔ Long-lived authentication token created"))
            say(f"\r\n {ESC}[38;5;220m{tokens['access']}{ESC}[39m\r\n")
            return 0
        say(by_words("✘ OAuth error: That code wasn't accepted. It may be expired."))
        say(by_words("Press Enter to retry"))
        sys.stdin.readline()


def claude_run(credential: Path, settings: Path) -> int:
    """One turn, or Claude Code's words without a login."""
    known = credential.is_file() or settings.is_file()
    text = "done" if known else "Not logged in · Please run /login"
    if os.environ.get("VENDOR_SHOWS") and credential.is_file():
        text = json.loads(credential.read_text())["claudeAiOauth"]["accessToken"]
    if os.environ.get("VENDOR_REFUSES"):
        known, text = False, "API Error: 401 authentication_error"
    session = "0b5f2f9e-0000-4000-8000-000000000001"
    say(json.dumps({"type": "system", "subtype": "init", "session_id": session, "tools": []}), "\n")
    block = {"type": "text", "text": text}
    message = {"id": "m1", "role": "assistant", "model": "x", "content": [block]}
    line = {"type": "assistant", "message": message, "session_id": session}
    if not known:
        line["error"] = "authentication_failed"
    say(json.dumps(line), "\n")
    end = {"type": "result", "subtype": "success", "is_error": not known, "result": text}
    say(json.dumps({**end, "session_id": session, "num_turns": 1}), "\n")
    return 0 if known else 1


def codex(arguments: list[str]) -> int:
    auth = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "auth.json"
    if "CODEX_HOME" in os.environ and not auth.parent.is_dir():
        say(f'Error loading configuration: CODEX_HOME points to "{auth.parent}"')
        return 1
    match arguments:
        case ["login", "status"]:
            say("Logged in using ChatGPT" if auth.is_file() else "Not logged in")
            return 0 if auth.is_file() else 1
        case ["login", "--device-auth"]:
            return codex_login(auth)
        case ["exec", *_]:
            return codex_run(auth)
        case _:
            say("codex-cli 0.169.0")
            return 0


def codex_run(auth: Path) -> int:
    say(json.dumps({"type": "thread.started", "thread_id": "t1"}), "\n")
    say(json.dumps({"type": "turn.started"}), "\n")
    if not auth.is_file():
        error = {"message": "401 Unauthorized"}
        say(json.dumps({"type": "turn.failed", "error": error}), "\n")
        return 1
    item = {"id": "item_0", "type": "agent_message", "text": "hello from the stand-in"}
    say(json.dumps({"type": "item.completed", "item": item}), "\n")
    usage = {"input_tokens": 10, "cached_input_tokens": 0, "output_tokens": 3}
    say(json.dumps({"type": "turn.completed", "usage": usage}), "\n")
    return 0


def codex_login(auth: Path) -> int:
    try:
        told = ask("start")[1]
    except OSError as error:
        say(f"Error logging in: error sending request for url ({error})")
        return 1
    say(f"\r\nWelcome to Codex [v{ESC}[90m0.169.0{ESC}[0m]\r\n")
    say("1. Open this link in your browser and sign in to your account")
    say(f"   {ESC}[94m{told['device']}{ESC}[0m\r\n")
    say(f"2. Enter this one-time code {ESC}[90m(expires in 15 minutes){ESC}[0m")
    say(f"   {ESC}[94m{told['user_code']}{ESC}[0m\r\n")
    while True:
        match ask("poll")[1]["state"]:
            case "approved":
                _, tokens = ask("exchange")
                inner = {"access_token": tokens["access"], "refresh_token": tokens["refresh"]}
                keep(auth, {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": inner})
                say("Successfully logged in")
                return 0
            case "denied":
                say("Error logging in: device auth failed with status 400 Bad Request")
                return 1
            case "expired":
                say("Error logging in: device auth timed out after 15 minutes")
                return 1
            case _:
                time.sleep(POLL_S)


def gemini(arguments: list[str]) -> int:
    """As the real one: a parent that takes no signals, and a child that has the terminal."""
    if "--version" in arguments:
        say("0.61.0")
        return 0
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(gemini_login())


def gemini_login() -> int:
    home = Path(os.environ.get("GEMINI_CLI_HOME") or Path.home())
    settings = home / ".gemini/settings.json"
    if not settings.is_file() or "oauth-personal" not in settings.read_text():
        say("Do you trust the files in this folder?")
        time.sleep(60)
        return 41
    say(f"{ESC}[?1049h{ESC}[2J{ESC}[H", end="")
    for attempt in range(2):
        page = ask("start")[1]["page"].replace("/authorize", "/o/oauth2/v2/auth")
        padding = "&scope=" + "x" * 500
        say("Please visit the following URL to authorize the application:\r\n")
        say(page.replace("http://", "https://") + padding + "\r\n")
        say(f"{ESC}[1G{ESC}[0JEnter the authorization code: {ESC}[31G", end="")
        status, tokens = ask("exchange", code=sys.stdin.readline().strip())
        if status == 200:
            keep(
                home / ".gemini/oauth_creds.json",
                {"access_token": tokens["access"], "refresh_token": tokens["refresh"]},
            )
            say(f"{ESC}[?1049l{ESC}[2J{ESC}[H > Type your message or @path/to/file")
            time.sleep(120)
            return 0
        say("Failed to authenticate with authorization code:invalid_grant\r\n")
        say("Failed to authenticate with user code." + (" Retrying..." if attempt == 0 else ""))
    return 41


def qwen(arguments: list[str]) -> int:
    if "--version" in arguments:
        say("0.24.4")
        return 0
    if not os.environ.get("VENDOR_OLD_QWEN"):
        say("Qwen OAuth free tier was discontinued on 2026-04-15. Run /auth to switch to another.")
        time.sleep(60)
        return 0
    home = Path(os.environ.get("QWEN_HOME") or Path.home() / ".qwen")
    told = ask("start")[1]
    say("Please visit this URL to authorize:")
    url = told["device"].replace("/device", "/authorize").replace("http://", "https://")
    say(f"{url}?user_code={told['user_code']}&client=qwen-code")
    while ask("poll")[1]["state"] != "approved":
        time.sleep(POLL_S)
    _, tokens = ask("exchange")
    keep(
        home / "oauth_creds.json",
        {"access_token": tokens["access"], "refresh_token": tokens["refresh"]},
    )
    time.sleep(60)
    return 0


def main(name: str) -> int:
    program = {"claude": claude, "codex": codex, "gemini": gemini, "qwen": qwen}
    return program[name](sys.argv[1:])
