"""The console's words about servers and whether they are trusted, in English."""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "loss.no_token": "NO TOKEN",
    "advice.no_token": "Credential: {credential}, context {context}. Nothing was sent; r tries again.",
    "loss.changed_certificate": "CERTIFICATE CHANGED",
    "advice.certificate": "{fingerprint}\n"
    "Nothing was sent. r asks whether to trust it; without a screen:\nmonitor-tui trust {url}",
    "advice.certificate_unusable": "{fingerprint}\n"
    "Nothing was sent. Trust would not mend this: the server has to, or another --ca.",
    "advice.certificate_changed": "remembered\n{known}\nshown now\n{fingerprint}\n"
    "Nothing was sent. The server has a new authority, or something else answers.\n"
    "Ask whoever runs it. Only if it is meant, remove the line\n{place}\n"
    "or run: monitor-tui trust {url} --forget",
    "command.ctx": "list the servers; with a name: look at that one",
    "ctx.title": "Servers",
    "ctx.note": "⏎ looks at it   [console.contexts] of the settings file; see docs/contexts.md",
    "ctx.asking": "asking …",
    "ctx.answers": "answers",
    "ctx.silent": "no answer",
    "ctx.untrusted": "not trusted",
    "ctx.changed": "CHANGED",
    "ctx.unusable": "cannot be used",
    "ctx.now": "now {name}",
    "ctx.none": "there is no other server here",
    "trust.title": "Trust {host}?",
    "trust.why": "Nobody known here vouches for {url}. Nothing has been sent to it.",
    "trust.ca": "The fingerprint of its authority; a certificate it renews will go unnoticed:",
    "trust.cert": "The fingerprint of its certificate; it shows no authority, so every other will be "
    "refused:",
    "trust.compare": "Compare all of it with what this prints on the server:",
    "trust.remembered": "It would be remembered in {place}",
    "trust.ask": "y  it is the same, trust it     n  no",
    "trust.done": "{host} is trusted from now on",
    "trust.refused": "not trusted; r asks again",
    "trust.failed": "{error}",
}
