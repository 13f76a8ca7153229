"""Reference pages made from the code: commands from the parsers, the API from its OpenAPI document.

``python -m tests.packaging.reference`` writes them; a test says where they are out of date. Both
languages share what the code itself says, which is English; headings and words around it differ.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer.main

import runwatch_nodemanager.cli
import runwatch_server.cli
from runwatch_console.flags import FLAGS
from runwatch_console.headless import program
from runwatch_console.headless.words import HeadlessWords
from runwatch_server.access.table import ACCESS, ANY, METRICS
from runwatch_server.app import ROUTES, openapi_document
from runwatch_shared.errors import STATUS_OF_CODE
from runwatch_shared.usage.reading import read_tree
from runwatch_shared.usage.tree import Argument, CommandTree, Option, walk

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = {
    "monitor-server": runwatch_server.cli.app,
    "nodemanager": runwatch_nodemanager.cli.app,
}
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "commands": "Commands",
        "commands_about": "Every command of the three programs, as its `--help` says it. "
        "Made from the programs by `make reference`.",
        "option": "Option",
        "meaning": "Meaning",
        "api": "HTTP API",
        "api_about": "Every route, made from the server by `make reference`; the server gives the "
        "same as OpenAPI 3.1 at `/api/v1/openapi.json`. Scopes: P nobody in particular, V viewer, "
        "O operator, A admin, N node.",
        "scope": "Scope",
        "query": "Query",
        "body": "Body",
        "answers": "Answers",
        "errors": "Errors",
        "codes": "Error codes",
        "code": "Code",
        "status": "Status",
        "records": "Records",
        "field": "Field",
        "type": "Type",
        "optional": "optional",
    },
    "zh": {
        "commands": "命令",
        "commands_about": "三个程序的每条命令，与各自的 `--help` 相同。"
        "由 `make reference` 从程序生成；说明文字是程序自己的英文。",
        "option": "选项",
        "meaning": "含义",
        "api": "HTTP 接口",
        "api_about": "每条路由，由 `make reference` 从服务器生成；"
        "服务器在 `/api/v1/openapi.json` 以 OpenAPI 3.1 给出同样的内容。"
        "权限：P 任何人，V viewer，O operator，A admin，N node。",
        "scope": "权限",
        "query": "查询参数",
        "body": "请求体",
        "answers": "答复",
        "errors": "错误",
        "codes": "错误代码",
        "code": "代码",
        "status": "状态码",
        "records": "记录",
        "field": "字段",
        "type": "类型",
        "optional": "可省略",
    },
}


def pages() -> dict[Path, str]:
    """Each page by its path in the repository."""
    made = {}
    for language, words in WORDS.items():
        folder = Path("docs/reference") if language == "en" else Path("docs/zh/reference")
        made[folder / "commands.md"] = "\n".join(_commands(words, language)) + "\n"
        made[folder / "api.md"] = "\n".join(_api(words)) + "\n"
    return made


def _commands(words: Mapping[str, str], language: str) -> Iterator[str]:
    yield f"# {words['commands']}"
    yield ""
    yield words["commands_about"]
    for tree in _trees(language):
        for path, command in walk(tree):
            yield from _command(tree.name, path, command, words)


def _command(
    program: str, path: tuple[str, ...], command: CommandTree, words: Mapping[str, str]
) -> Iterator[str]:
    yield ""
    yield f"{'##' if not path else '###'} `{' '.join((program, *path))}`"
    if command.help:
        yield ""
        yield _cell(command.help.replace("\n", "\n\n"), in_table=False)
    shown = [option for option in command.options if "--help" not in option.names]
    if not shown and not command.arguments:
        return
    yield ""
    yield f"| {words['option']} | {words['meaning']} |"
    yield "|---|---|"
    for argument in command.arguments:
        yield f"| `{_cell(_argument(argument))}` | {_cell(argument.help or '–')} |"
    for option in shown:
        yield f"| `{_cell(_option(option))}` | {_cell(option.help or '–')} |"


def _trees(language: str) -> Iterator[CommandTree]:
    for name, app in PROGRAMS.items():
        yield read_tree(typer.main.get_command(app), name=name)
    words = HeadlessWords(language)
    common = tuple(
        Option(names=(flag.name,), help=words(flag.help), value=flag.value) for flag in FLAGS
    )
    yield read_tree(program.parser(words), name="monitor-tui", common=common)


def _argument(argument: Argument) -> str:
    name = argument.name + ("…" if argument.repeated else "")
    return name if argument.required else f"[{name}]"


def _option(option: Option) -> str:
    return ", ".join(option.names) + (f" {option.value}" if option.value else "")


def _api(words: Mapping[str, str]) -> Iterator[str]:
    document = json.loads(openapi_document())
    yield f"# {words['api']}"
    yield ""
    yield words["api_about"]
    for route in sorted(ROUTES, key=lambda route: (route.path, route.method)):
        if route.hidden or route.method == ANY:
            continue
        operation = document["paths"][route.path][route.method.lower()]
        yield ""
        yield f"## {route.method} `{route.path}`"
        yield ""
        yield f"{route.summary}. {words['scope']}: {_scope(route.key)}."
        yield ""
        yield from _operation(operation, words)
    yield ""
    yield f"## {words['codes']}"
    yield ""
    yield f"| {words['code']} | {words['status']} |"
    yield "|---|---|"
    for code, status in sorted(STATUS_OF_CODE.items(), key=lambda pair: (pair[1], pair[0])):
        yield f"| `{code}` | {status} |"
    yield ""
    yield f"## {words['records']}"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from _record(name, schema, words)


def _scope(key: tuple[str, str]) -> str:
    need = ACCESS[key]
    if need.public:
        return "P"
    letters = {"viewer": "V", "operator": "O", "admin": "A", "node": "N"}
    order = ("viewer", "operator", "admin", "node")
    least = next(scope for scope in order if scope in need.scopes)
    found = [letters[least]]
    if "node" in need.scopes and least != "node":
        found.append("N")
    return ", ".join(found) + (" (metrics_public: P)" if need is METRICS else "")


def _operation(operation: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[str]:
    query = [
        f"`{each['name']}` {_type(each['schema'])}"
        for each in operation.get("parameters", ())
        if each["in"] == "query"
    ]
    if query:
        yield f"- {words['query']}: {', '.join(query)}"
    body = operation.get("requestBody")
    if body is not None:
        kinds = [_type(content.get("schema", {})) for content in body["content"].values()]
        yield f"- {words['body']}: {', '.join(dict.fromkeys(kinds))}"
    good, bad = [], []
    for status, response in operation["responses"].items():
        if int(status) < 400:
            kinds = [_type(c.get("schema", {})) for c in response.get("content", {}).values()]
            good.append(f"{status} {', '.join(dict.fromkeys(kinds))}".strip())
        else:
            bad.append(f"{status} {response['description']}")
    if good:
        yield f"- {words['answers']}: {'; '.join(good)}"
    if bad:
        yield f"- {words['errors']}: {'; '.join(bad)}"


def _record(name: str, schema: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[str]:
    yield ""
    yield f"### {name}"
    if description := schema.get("description"):
        yield ""
        yield _cell(" ".join(description.split()), in_table=False)
    if not schema.get("properties"):
        return
    yield ""
    yield f"| {words['field']} | {words['type']} |"
    yield "|---|---|"
    required = set(schema.get("required", ()))
    for field, value in schema["properties"].items():
        kind = _type(value) + ("" if field in required else f", {words['optional']}")
        yield f"| `{field}` | {_cell(kind)} |"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "oneOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["oneOf"]))
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _cell(text: str, *, in_table: bool = True) -> str:
    text = text.replace("<", "&lt;")
    return text.replace("|", "\\|").replace("\n", " ") if in_table else text


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
