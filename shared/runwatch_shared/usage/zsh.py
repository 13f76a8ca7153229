"""A command tree as a completion script for zsh (5 and newer)."""

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
#compdef {program}
# Completion of {program} for zsh; made by: {program} completion zsh
# Use it with:  source <({program} completion zsh)  after compinit,
# or as a file _{program} in a folder of $fpath.

{function}_values() {{ # of one kind, asked of the program; nothing when that fails
    local -a found typed=("${{(@)words[2,CURRENT-1]}}")
    found=("${{(@f)$({program} complete-values "$1" "${{typed[@]}}" "" 2>/dev/null </dev/null)}}")
    (( ${{#found}} )) && [[ -n $found[1] ]] && compadd -- "${{found[@]}}"
}}

{function}() {{
    local at="" option="" word="" i
    local -a shown
    for ((i = 2; i < CURRENT; i++)); do
        word=${{words[i]}}
        if [[ -n $option ]]; then option=""; continue; fi
        if [[ $word == "--" ]]; then _files; return; fi
        case "$at $word" in
{steps}
        esac
    done
    if [[ -z $option && ${{words[CURRENT]}} == --*=* ]]; then
        case "$at ${{words[CURRENT]%%=*}}" in
{steps}
        esac
        [[ -n $option ]] && compset -P '*='
    fi
    case "$option" in
{values}
    esac
    case "$at" in
{places}
    esac
}}

if [[ $funcstack[1] == _{program} ]]; then {function} "$@"; else compdef {function} {program}; fi
"""


def zsh_script(tree: CommandTree) -> str:
    """The script; sourced or autoloaded, it completes commands, options and values."""
    function = f"_{tree.name.replace('-', '_')}"
    steps: list[str] = []
    values: list[str] = []
    places: list[str] = []
    for path, command in walk(tree):
        at = "".join(f" {name}" for name in path)
        for child in command.commands:
            inner = quote(f"{at} {child.name}")
            steps.append(f"{inner}) at={inner} ;;")
        for option in options_at(command, tree):
            if not option.value:
                continue
            names = "|".join(quote(f"{at} {name}") for name in option.names)
            key = quote(f"{at} {option.names[0]}")
            steps.append(f"{names}) option={key} ;;")
            values.append(f"{key}) {_offer(function, option)}; return ;;")
        places += _place(function, tree, at, command)
    return TEMPLATE.format(
        program=tree.name,
        function=function,
        steps="\n".join(f"            {line}" for line in steps),
        values="\n".join(f"        {line}" for line in values),
        places="\n".join(f"        {line}" for line in places),
    )


def _offer(function: str, taken: Option | Argument) -> str:
    if taken.choices:
        return f"compadd -- {' '.join(map(quote, taken.choices))}"
    known = {"": "_message " + quote(taken.help), FILES: "_files", DIRECTORIES: "_files -/"}
    return known.get(taken.kind) or f"{function}_values {quote(taken.kind)}"


def _place(function: str, tree: CommandTree, at: str, command: CommandTree) -> list[str]:
    options = [
        _described(name, option.help)
        for option in options_at(command, tree)
        for name in option.names
    ]
    lines = [
        f"{quote(at)})",
        "    if [[ ${words[CURRENT]} == -* ]]; then",
        f"        shown=({' '.join(options)})",
        "        _describe -o option shown",
        "        return",
        "    fi",
    ]
    if command.commands:
        listed = " ".join(_described(child.name, child.summary) for child in command.commands)
        lines += [f"    shown=({listed})", "    _describe command shown"]
    elif command.arguments:
        lines.append(f"    {_offer(function, command.arguments[0])}")
    return [*lines, "    ;;"]


def _described(name: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(":", "\\:")
    return quote(f"{name}:{escaped}" if escaped else name)
