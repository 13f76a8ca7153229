"""A command tree as a completion script for bash (4 and newer)."""

from collections.abc import Iterable
from shlex import quote

from runwatch_shared.usage.tree import (
    DIRECTORIES,
    FILES,
    Argument,
    CommandTree,
    Option,
    options_at,
    walk,
)

TEMPLATE = """\
# Completion of {program} for bash; made by: {program} completion bash
# Use it with:  source <({program} completion bash)

{function}_words() {{ # what begins as typed, of the words given; nothing in them is expanded
    local word
    for word in "$@"; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
    done
}}

{function}_values() {{ # of one kind, asked of the program; nothing when that fails
    local line typed=("${{COMP_WORDS[@]:1:COMP_CWORD-1}}")
    while IFS= read -r line; do
        [[ $line == "$cur"* ]] && COMPREPLY+=("$line")
    done < <({program} complete-values "$1" "${{typed[@]}}" "" 2>/dev/null </dev/null)
}}

{function}_files() {{
    local line
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$1" -- "$cur")
    compopt -o filenames 2>/dev/null
}}

{function}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} at="" option="" word="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        if [[ $word == "=" ]]; then continue; fi
        if [[ -n $option ]]; then option=""; continue; fi
        if [[ $word == "--" ]]; then {function}_files -f; return; fi
        case "$at $word" in
{steps}
        esac
    done
    # bash takes "--output=csv" for three words.
    [[ $cur == "=" ]] && cur=""
    case "$option" in
{values}
    esac
    case "$at" in
{places}
    esac
}}

complete -F {function} {program}
"""


def bash_script(tree: CommandTree) -> str:
    """The script; sourced, it completes the program's commands, options and values."""
    function = f"_{tree.name.replace('-', '_')}"
    steps: list[str] = []
    values: list[str] = []
    places: list[str] = []
    for path, command in walk(tree):
        at = _at(path)
        for child in command.commands:
            inner = _at((*path, child.name))
            steps.append(f"{quote(inner)}) at={quote(inner)} ;;")
        for option in _taking(command, tree):
            names = "|".join(quote(f"{at} {name}") for name in option.names)
            key = f"{at} {option.names[0]}"
            steps.append(f"{names}) option={quote(key)} ;;")
            values.append(f"{quote(key)}) {_offer(function, option)}; return ;;")
        places += _place(function, tree, path, command)
    return TEMPLATE.format(
        program=tree.name,
        function=function,
        steps=_indented(steps, 12),
        values=_indented(values, 8),
        places=_indented(places, 8),
    )


def _at(path: Iterable[str]) -> str:
    return "".join(f" {name}" for name in path)


def _taking(command: CommandTree, tree: CommandTree) -> list[Option]:
    return [option for option in options_at(command, tree) if option.value]


def _offer(function: str, taken: Option | Argument) -> str:
    if taken.choices:
        return f"{function}_words {' '.join(map(quote, taken.choices))}"
    known = {"": ":", FILES: f"{function}_files -f", DIRECTORIES: f"{function}_files -d"}
    return known.get(taken.kind) or f"{function}_values {quote(taken.kind)}"


def _place(
    function: str, tree: CommandTree, path: tuple[str, ...], command: CommandTree
) -> list[str]:
    names = [name for option in options_at(command, tree) for name in option.names]
    lines = [
        f"{quote(_at(path))})",
        f"    if [[ $cur == -* ]]; then {function}_words {' '.join(map(quote, names))}; return; fi",
    ]
    if command.commands:
        listed = " ".join(quote(child.name) for child in command.commands)
        lines.append(f"    {function}_words {listed}")
    elif command.arguments:
        lines.append(f"    {_offer(function, command.arguments[0])}")
    return [*lines, "    ;;"]


def _indented(lines: list[str], width: int) -> str:
    return "\n".join(f"{' ' * width}{line}" for line in lines)
