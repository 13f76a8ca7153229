"""A command tree as a completion script for fish (3 and newer)."""

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
# Completion of {program} for fish; made by: {program} completion fish
# Use it with:  {program} completion fish > ~/.config/fish/completions/{program}.fish

function {function}_at # whether the command line is at this command
    set -l at ""
    set -l option ""
    for word in (commandline -opc)[2..-1]
        if test -n "$option"
            set option ""
            continue
        end
        if test "$word" = --
            return 1
        end
        switch "$at $word"
{steps}
        end
    end
    test "$at" = "$argv[1]"
end

function {function}_values # of one kind, asked of the program; nothing when that fails
    set -l before (commandline -opc)[2..-1]
    {program} complete-values $argv[1] $before '' 2>/dev/null </dev/null
end

complete -c {program} -e
complete -c {program} -f
{lines}
"""


def fish_script(tree: CommandTree) -> str:
    """The script; sourced or installed, it completes commands, options and values."""
    function = f"__{tree.name.replace('-', '_')}"
    steps: list[str] = []
    lines: list[str] = []
    for path, command in walk(tree):
        at = "".join(f" {name}" for name in path)
        here = f"complete -c {tree.name} -n {_quoted(f'{function}_at {_quoted(at)}')}"
        for child in command.commands:
            steps += [
                f"case {_quoted(f'{at} {child.name}')}",
                f"    set at {_quoted(f'{at} {child.name}')}",
            ]
            lines.append(f"{here} -a {child.name} -d {_quoted(child.summary)}")
        for option in options_at(command, tree):
            if option.value:
                names = " ".join(_quoted(f"{at} {name}") for name in option.names)
                steps += [f"case {names}", "    set option taken"]
            lines.append(f"{here} {_option(function, option)}")
        if command.arguments:
            lines += [
                f"{here} {offer}" for offer in [_offer(function, command.arguments[0])] if offer
            ]
    return TEMPLATE.format(
        program=tree.name,
        function=function,
        steps="\n".join(f"            {line}" for line in steps),
        lines="\n".join(lines),
    )


def _option(function: str, option: Option) -> str:
    names = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    parts = [*names, f"-d {_quoted(option.help)}"]
    if option.value:
        parts.append(f"-r {_offer(function, option) or '-f'}")
    return " ".join(parts)


def _offer(function: str, taken: Option | Argument) -> str:
    if taken.choices:
        return f"-f -a {_quoted(' '.join(taken.choices))}"
    known = {"": "", FILES: "-F", DIRECTORIES: "-f -a '(__fish_complete_directories)'"}
    asked = f"-f -a {_quoted(f'({function}_values {taken.kind})')}"
    return known.get(taken.kind, asked)


def _quoted(text: str) -> str:
    """In single quotes, where fish knows two escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
