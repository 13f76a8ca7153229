"""The name and labels a session is shown by; all of it is outside text, so all of it is cleaned."""

from pathlib import PurePosixPath
from typing import Final

from runwatch_nodemanager.sessions.head import PROMPT_CHARS, Head
from runwatch_nodemanager.sessions.roots import Place
from runwatch_shared.text import clean

PROJECT_CHARS: Final = 60
CWD_CHARS: Final = 4096
MODEL_CHARS: Final = 128


def name_of(head: Head, place: Place) -> str:
    """Project and first prompt: ``demo: Write a script``."""
    project = project_of(head)
    prompt = clean(head.prompt, limit=PROMPT_CHARS, fold=True).strip()
    parts = [part for part in (project, prompt) if part]
    return ": ".join(parts) or place.session[:PROMPT_CHARS]


def project_of(head: Head) -> str:
    last = PurePosixPath(head.cwd).name if head.cwd else ""
    return clean(last, limit=PROJECT_CHARS, fold=True).strip()


def labels_of(head: Head) -> dict[str, str]:
    project = project_of(head)
    return {"source": "session"} | ({"project": project} if project else {})


def cwd_of(head: Head) -> str | None:
    return clean(head.cwd, limit=CWD_CHARS, fold=True).strip() or None


def model_of(head: Head) -> str | None:
    return clean(head.model, limit=MODEL_CHARS, fold=True).strip() or None
