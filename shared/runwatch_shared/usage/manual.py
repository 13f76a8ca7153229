"""A command tree as a manual page (man(7) macros, section 1)."""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Final

from runwatch_shared.usage.tree import Argument, CommandTree, Option, walk

LINE: Final = 78


def manual_page(
    tree: CommandTree, *, version: str, sections: Sequence[tuple[str, str]] = ()
) -> str:
    """The page.

    Args:
        version: Of the program.
        sections: Heading and text of what is not in the tree: files, exit codes, other programs.
    """
    name = tree.name
    lines = [
        f'.TH {_quoted(name.upper())} 1 "" {_quoted(f"Runwatch {version}")} Runwatch',
        ".SH NAME",
        f"{_text(name)} \\- {_text(tree.summary.rstrip('.。'))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        "[\\fIoption\\fR ...] [\\fIcommand\\fR ...]" if tree.commands else "[\\fIoption\\fR ...]",
        *_paragraphs(".SH DESCRIPTION", tree.help),
        ".SH OPTIONS",
        *_options(tree.options),
    ]
    if tree.commands:
        lines.append(".SH COMMANDS")
    for path, command in walk(tree):
        if path and not command.commands:
            lines += _command(path, command)
    for heading, text in sections:
        lines += _paragraphs(f".SH {_quoted(heading.upper())}", text)
    return "\n".join(lines) + "\n"


def _command(path: tuple[str, ...], command: CommandTree) -> list[str]:
    arguments = "".join(f" \\fI{_text(shown(each))}\\fR" for each in command.arguments)
    return [
        f".SS {_quoted(' '.join(path))}",
        f"\\fB{_text(' '.join(path))}\\fR [\\fIoption\\fR ...]{arguments}",
        *_paragraphs(".PP", command.help),
        *_options(option for option in command.options if "--help" not in option.names),
    ]


def shown(argument: Argument) -> str:
    """As in a line of usage: in brackets if it may be left out."""
    name = argument.name if argument.required else f"[{argument.name.strip('[]')}]"
    return f"{name} ..." if argument.repeated and "…" not in name else name


def _options(options: Iterable[Option]) -> list[str]:
    lines = []
    for option in options:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        value = f" \\fI{_text(option.value)}\\fR" if option.value else ""
        lines += [".TP", f"{names}{value}", _text(option.help)]
    return lines


def _paragraphs(begin: str, text: str) -> list[str]:
    paragraphs = [line for line in text.splitlines() if line.strip()]
    if not paragraphs:
        return [begin] if begin != ".PP" else []
    lines = [begin, _text(paragraphs[0])]
    for paragraph in paragraphs[1:]:
        lines += [".PP", _text(paragraph)]
    return lines


def _text(text: str) -> str:
    """Text in which nothing is a request or an escape, in lines as an editor shows them."""
    escaped = text.strip().replace("\\", "\\e").replace("-", "\\-")
    lines = wrap(escaped, LINE, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line[0] in ".'" else line for line in lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace('"', "\\(dq").replace("-", "\\-")
    return f'"{escaped}"'
