"""The words of the commands without a screen, in English and Chinese, beside the console's own."""

from collections.abc import Mapping
from typing import Final

from runwatch_console.locale import en_doctor, zh_doctor
from runwatch_console.locale.words import Words

EN: Final[Mapping[str, str]] = {
    "headless.title": "A live monitor for agent runs on many machines.",
    "headless.no_terminal": (
        "monitor-tui: standard output is not a terminal, so there is no place for the console.\n"
        "Without a screen:\n"
        "  monitor-tui attention|runs|nodes|auth|tasks|stats [--output table|json|ndjson|csv]\n"
        "              [--watch] [-f FILTER]\n"
        "  monitor-tui run ID [--follow] [--from-seq N]\n"
        "  monitor-tui explain ID                  monitor-tui diff ID ID\n"
        "  monitor-tui wait ID        (exit 0 done, 1 failed, 3 waiting for a human)\n"
        "  monitor-tui start --name NAME -- COMMAND…    monitor-tui cancel ID\n"
        "  monitor-tui doctor         (what is wrong here, and how to mend it)"
    ),
    "headless.flags": "For the console and every command (also RUNWATCH_…, and [console] in TOML):",
    "headless.error": "monitor-tui: {text}",
    "headless.flag_without_value": "{flag} needs a value",
    "headless.flag_with_value": "{flag} takes no value",
    "headless.setting": "{text}",
    "headless.no_extra": "{name} is not installed: pip install 'runwatch[console]'",
    "headless.token_readable": (
        "warning: {what} can be read by others; it is an access token: chmod 600 {what}"
    ),
    "headless.token_in_clear": "warning: the token goes unencrypted to {what}",
    "headless.unreachable": "{url} cannot be reached: {detail}",
    "headless.unreachable_local": (
        "{url} cannot be reached: {detail}\nIs the server running? `make run` starts it."
    ),
    "headless.untrusted": (
        "the certificate of {url} is signed by nobody known here: {detail}\n"
        "  {fingerprint}\n"
        "On the server, `monitor-server fingerprint` prints its own. If it is the same:\n"
        "  monitor-tui trust {url} --fingerprint {fingerprint}\n"
        "A real authority is given with --ca FILE."
    ),
    "headless.unusable": (
        "the certificate of {url} cannot be used: {detail}\n  {fingerprint}\n"
        "Nothing was sent. Trust would not mend this; the server has to, or another --ca FILE."
    ),
    "headless.changed": (
        "THE CERTIFICATE OF {url} IS NOT THE ONE THAT IS REMEMBERED. Nothing was sent.\n"
        "  remembered  {known}\n"
        "  shown now   {fingerprint}\n"
        "The server has a new authority, or something else answers in its place. Ask whoever\n"
        "runs it. Only if it is meant, remove {place}, or:\n"
        "  monitor-tui trust {url} --forget"
    ),
    "headless.trust_asked": "Trust it? Only if `monitor-server fingerprint` says the same. [y/N] ",
    "headless.trusted": "{host} is trusted from now on ({place})",
    "headless.trusted_already": "{url} is trusted already: {fingerprint}",
    "headless.trusted_system": "{url} is vouched for by an authority; nothing has to be remembered",
    "headless.trust_differs": (
        "{url} shows another fingerprint than you gave. Nothing was remembered.\n"
        "  given      {given}\n"
        "  its own    {fingerprint}"
    ),
    "headless.not_trusted": "{url} is not trusted; nothing was remembered",
    "headless.trust_no_tls": "{url} has no certificate: it is plain HTTP",
    "headless.trust_by_ca": "an authority is named or found for {url}; it decides alone",
    "headless.no_fingerprint": "--fingerprint takes SHA256:… (64 hexadecimal digits), not {given}",
    "headless.forgotten": "{host} is forgotten ({place})",
    "headless.not_known": "{host} is not in {place}",
    "headless.needs_tls": (
        "{url} speaks TLS and was asked without it ({detail}).\n"
        "Use --server {other}; for a certificate of its own also --ca FILE (its tls/ca.pem)."
    ),
    "headless.no_tls": (
        "{url} does not speak TLS ({detail}).\n"
        "If that is meant, use --server {other}; nothing is encrypted then."
    ),
    "headless.unauthorized": (
        "{url} does not accept the credential ({credential}; context {context}): {detail}\n"
        "Give a token with --token-file FILE or RUNWATCH_TOKEN."
    ),
    "headless.forbidden": (
        "{url} does not allow this to the credential ({credential}; context {context}): {detail}"
    ),
    "headless.no_token": "no token for {url} (context {context}): {detail}",
    "headless.not_found": "{detail}",
    "headless.refused": "{detail} ({code})",
    "headless.version": (
        "{url} speaks protocol {low} to {high}, this console {own}; use a matching monitor-tui"
    ),
    "headless.lost": "connection lost: {detail}; trying again",
    "headless.back": "connected again",
    "headless.json_watch": "json is one document; with --watch or --follow use --output ndjson",
    "headless.filter": "-f: {problem}",
    "headless.node_filter": (
        "{term}: not for nodes; words, s:STATUS, agent:TYPE, label:KEY=VALUE are, each also with !"
    ),
    "headless.empty_runs": "no runs yet; for example: monitor-tui start --name hello -- echo hello",
    "headless.attention_none": "nothing needs anybody",
    "headless.qr_table": "--qr goes with tables alone",
    "headless.qr_no_signs": "no code: this terminal has neither block elements nor colours",
    "headless.no_match": "0 of {total} match",
    "headless.shown": "{shown} of {total}",
    "headless.shown_scanned": "{shown} of {total}; the newest {scanned} were looked at",
    "headless.removed": "{id} is gone from this list",
    "headless.gap": "── gap {from_seq}–{to_seq} ({reason}) ──",
    "headless.ended": "── {status}{exit} · {last_seq} ──",
    "headless.wait_done": "{id} {status}",
    "headless.wait_human": "{id} is waiting for a human: {prompt}",
    "headless.wait_timeout": "{id} is still {status} after {seconds}s",
    "headless.command_missing": "the agent `command` needs one: monitor-tui start … -- COMMAND",
    "headless.command_unused": "only the agent `command` runs a command line; give --prompt",
    "headless.prompt_missing": "the agent {agent} needs --prompt",
    "headless.label": "--label takes KEY=VALUE, not {label}",
    "headless.cancelling": "{id} is being cancelled ({status})",
    "headless.gone": "{id}: {detail}",
    "headless.not_whole": "{id}: numbers rise no further; the list may be cut",
    "stats.runs": "runs",
    "stats.runs_text": (
        "{running} running · {waiting} waiting · {pending} pending · {unknown} unknown · "
        "{completed} completed · {failed} failed; {total} in all"
    ),
    "stats.today": "today",
    "stats.today_text": "{done} done · {failed} failed · {cancelled} cancelled",
    "stats.health": "unhealthy",
    "stats.waiting": "waiting",
    "stats.waiting_text": "{count} for a human, the oldest for {oldest}; {held} slots held",
    "stats.none": "none",
    "stats.stalled": "stalled",
    "stats.looping": "looping",
    "stats.slow": "slow",
    "stats.stuck_queued": "stuck in the queue",
    "stats.waiting_long": "waiting long",
    "stats.nodes": "nodes",
    "stats.nodes_text": "{online} of {total} online",
    "stats.slots": "slots",
    "stats.slots_text": "{used} of {total} in use",
    "stats.cost": "cost",
    "stats.cost_text": "{rate} $/h · today {today} $",
    "stats.tokens": "tokens",
    "stats.tokens_text": "{rate}/min · today {today}",
    "stats.queue": "queue wait",
    "stats.queue_text": "p50 {p50} · p95 {p95} · {samples} claimed in the last hour",
    "headless.no_serve_extra": "{name} is not installed: pip install 'runwatch[serve]'",
    "serve.open": "The console is in a browser at this address, until Ctrl-C:",
    "serve.writes": "warning: whoever opens it can start, cancel and change things",
    "serve.in_clear": (
        "warning: nothing is encrypted on the way to {host}; "
        "a tunnel is (ssh -L 8090:localhost:8090)"
    ),
    "serve.no_port": "{host} port {port} cannot be listened on: {detail}",
    "help.usage": (
        "monitor-tui                    the console, on this terminal\n"
        "monitor-tui COMMAND --help     what a command takes"
    ),
    "help.lists": "Lists (--output table|json|ndjson|csv):",
    "help.one_run": "One run:",
    "help.recordings": "Recordings:",
    "help.other_forms": "The console in another form:",
    "help.itself": "This program:",
    "help.others": "Others:",
    "help.server": "  Which server:",
    "help.screen": "  How it is shown:",
    "help.demo": "  Without a server:",
    "help.all": "  Further:",
    "help.version": "print the version",
    "help.help": "this help, or that of a command",
    "help.more": "Keys: ? in the console. All of it: monitor-tui man | man -l -",
    "man.exit": "Exit status",
    "man.exit_text": (
        "0 done; 1 failed; 2 usage; 3 waiting for a human; 4 not let in; 5 server unreachable; "
        "124 timeout; 130 interrupted."
    ),
    "man.files": "Files",
    "man.files_text": (
        "$XDG_CONFIG_HOME/runwatch/config.toml: settings, table [console].\n"
        "$XDG_STATE_HOME/runwatch/monitor-tui.log: warnings of the console."
    ),
    "man.see": "See also",
    "flag.context": "one of [console.contexts] in the settings file",
    "flag.server": "address of the server; else the local one",
    "flag.token_file": "file with an access token; on loopback the local one is found",
    "flag.ca": "authority to trust (PEM); on loopback the local one is found",
    "flag.data_dir": "data directory of the local server",
    "flag.lang": "language; else by LC_ALL, LANG",
    "flag.theme": "dark, light, high-contrast or 16; else by TERM and COLORTERM",
    "flag.time": "how moments are told; else local",
    "flag.low_bw": "slow link: at most 2 frames a second, no preview",
    "flag.plain": "lines in place of screens, for screen readers; also without a terminal",
    "flag.read_only": "start, cancel and change nothing",
    "flag.serve": "the console in a browser; the same as: monitor-tui serve",
    "flag.no_mouse": "leave the mouse to the terminal",
    "flag.config": "TOML file; else $XDG_CONFIG_HOME/runwatch/config.toml",
}

ZH: Final[Mapping[str, str]] = {
    "headless.title": "实时监控多台机器上的智能体运行。",
    "headless.no_terminal": (
        "monitor-tui：标准输出不是终端，无法显示控制台。\n"
        "不用屏幕时可用：\n"
        "  monitor-tui attention|runs|nodes|auth|tasks|stats [--output table|json|ndjson|csv]\n"
        "              [--watch] [-f 过滤]\n"
        "  monitor-tui run ID [--follow] [--from-seq N]\n"
        "  monitor-tui explain ID                  monitor-tui diff ID ID\n"
        "  monitor-tui wait ID        （退出码 0 完成，1 失败，3 等待人工）\n"
        "  monitor-tui start --name 名称 -- 命令…    monitor-tui cancel ID\n"
        "  monitor-tui doctor         （检查哪里有问题，如何修复）"
    ),
    "headless.flags": "控制台与所有命令通用（也可用 RUNWATCH_… 或 TOML 的 [console]）：",
    "headless.error": "monitor-tui：{text}",
    "headless.flag_without_value": "{flag} 需要一个值",
    "headless.flag_with_value": "{flag} 不带值",
    "headless.setting": "{text}",
    "headless.no_extra": "未安装 {name}：pip install 'runwatch[console]'",
    "headless.token_readable": "警告：{what} 可被他人读取，它是访问令牌：chmod 600 {what}",
    "headless.token_in_clear": "警告：令牌将以明文发送到 {what}",
    "headless.unreachable": "无法连接 {url}：{detail}",
    "headless.unreachable_local": "无法连接 {url}：{detail}\n服务器在运行吗？用 `make run` 启动。",
    "headless.untrusted": (
        "{url} 的证书由未知机构签发：{detail}\n"
        "  {fingerprint}\n"
        "在服务器上运行 `monitor-server fingerprint` 可看到它的指纹。如果相同：\n"
        "  monitor-tui trust {url} --fingerprint {fingerprint}\n"
        "真正的证书机构用 --ca 文件 指定。"
    ),
    "headless.unusable": (
        "{url} 的证书无法使用：{detail}\n  {fingerprint}\n"
        "没有发送任何内容。信任它也无济于事；需由服务器更正，或换一个 --ca 文件。"
    ),
    "headless.changed": (
        "{url} 的证书与记住的不同！没有发送任何内容。\n"
        "  记住的    {known}\n"
        "  现在的    {fingerprint}\n"
        "服务器换了证书机构，或者有别的程序在冒充它。请询问管理员。\n"
        "只有确认无误时，才删除 {place}，或运行：\n"
        "  monitor-tui trust {url} --forget"
    ),
    "headless.trust_asked": "信任它吗？只有与 `monitor-server fingerprint` 相同才可以。[y/N] ",
    "headless.trusted": "今后信任 {host}（{place}）",
    "headless.trusted_already": "{url} 已受信任：{fingerprint}",
    "headless.trusted_system": "{url} 已有证书机构担保，无需记住",
    "headless.trust_differs": (
        "{url} 的指纹与给出的不同。没有记住任何内容。\n"
        "  给出的    {given}\n"
        "  它自己的  {fingerprint}"
    ),
    "headless.not_trusted": "不信任 {url}；没有记住任何内容",
    "headless.trust_no_tls": "{url} 没有证书：它是明文 HTTP",
    "headless.trust_by_ca": "{url} 已指定或找到证书机构，由它单独决定",
    "headless.no_fingerprint": "--fingerprint 应为 SHA256:…（64 个十六进制数字），而不是 {given}",
    "headless.forgotten": "已忘记 {host}（{place}）",
    "headless.not_known": "{place} 中没有 {host}",
    "headless.needs_tls": (
        "{url} 使用 TLS，却以明文访问（{detail}）。\n"
        "请用 --server {other}；若是自签证书，再加 --ca FILE（服务器的 tls/ca.pem）。"
    ),
    "headless.no_tls": (
        "{url} 没有使用 TLS（{detail}）。\n若确实如此，请用 --server {other}；此时不加密。"
    ),
    "headless.unauthorized": (
        "{url} 不接受该凭据（{credential}；上下文 {context}）：{detail}\n"
        "请用 --token-file 文件 或 RUNWATCH_TOKEN 提供令牌。"
    ),
    "headless.forbidden": ("{url} 不允许该凭据（{credential}；上下文 {context}）这样做：{detail}"),
    "headless.no_token": "没有用于 {url} 的令牌（上下文 {context}）：{detail}",
    "headless.not_found": "{detail}",
    "headless.refused": "{detail}（{code}）",
    "headless.version": "{url} 使用协议 {low} 至 {high}，本控制台为 {own}；请换用匹配的版本",
    "headless.lost": "连接断开：{detail}；正在重试",
    "headless.back": "已重新连接",
    "headless.json_watch": "json 是单个文档；与 --watch 或 --follow 一起请用 --output ndjson",
    "headless.filter": "-f：{problem}",
    "headless.node_filter": "{term}：不适用于节点；可用词、s:状态、agent:类型、label:键=值及 !",
    "headless.empty_runs": "还没有运行；例如：monitor-tui start --name hello -- echo hello",
    "headless.attention_none": "没有需要处理的",
    "headless.qr_table": "--qr 只用于表格",
    "headless.qr_no_signs": "无二维码：此终端既无方块字符也无颜色",
    "headless.no_match": "{total} 个中 0 个匹配",
    "headless.shown": "{total} 个中的 {shown} 个",
    "headless.shown_scanned": "{total} 个中的 {shown} 个；只查看了最新的 {scanned} 个",
    "headless.removed": "{id} 已不在此列表中",
    "headless.gap": "── 缺口 {from_seq}–{to_seq}（{reason}） ──",
    "headless.ended": "── {status}{exit} · {last_seq} ──",
    "headless.wait_done": "{id} {status}",
    "headless.wait_human": "{id} 正在等待人工：{prompt}",
    "headless.wait_timeout": "{seconds} 秒后 {id} 仍为 {status}",
    "headless.command_missing": "智能体 `command` 需要要运行的命令：monitor-tui start … -- 命令",
    "headless.command_unused": "只有智能体 `command` 运行命令行；请用 --prompt",
    "headless.prompt_missing": "智能体 {agent} 需要 --prompt",
    "headless.label": "--label 应为 键=值，而不是 {label}",
    "headless.cancelling": "正在取消 {id}（{status}）",
    "headless.gone": "{id}：{detail}",
    "headless.not_whole": "{id}：序号不再增长，列表可能不完整",
    "stats.runs": "运行",
    "stats.runs_text": (
        "{running} 运行中 · {waiting} 等待 · {pending} 排队 · {unknown} 未知 · "
        "{completed} 完成 · {failed} 失败；共 {total}"
    ),
    "stats.today": "今天",
    "stats.today_text": "{done} 完成 · {failed} 失败 · {cancelled} 取消",
    "stats.health": "异常",
    "stats.waiting": "等待",
    "stats.waiting_text": "{count} 个等待人工，最久 {oldest}；占用 {held} 个槽位",
    "stats.none": "无",
    "stats.stalled": "停滞",
    "stats.looping": "循环",
    "stats.slow": "缓慢",
    "stats.stuck_queued": "排队过久",
    "stats.waiting_long": "等待过久",
    "stats.nodes": "节点",
    "stats.nodes_text": "{total} 个中 {online} 个在线",
    "stats.slots": "槽位",
    "stats.slots_text": "{total} 个中 {used} 个在用",
    "stats.cost": "费用",
    "stats.cost_text": "{rate} 美元/小时 · 今天 {today} 美元",
    "stats.tokens": "令牌",
    "stats.tokens_text": "{rate}/分钟 · 今天 {today}",
    "stats.queue": "排队时间",
    "stats.queue_text": "p50 {p50} · p95 {p95} · 最近一小时认领 {samples} 个",
    "headless.no_serve_extra": "未安装 {name}：pip install 'runwatch[serve]'",
    "serve.open": "在浏览器中打开此地址即为控制台，按 Ctrl-C 结束：",
    "serve.writes": "警告：打开它的人都能启动、取消和更改",
    "serve.in_clear": "警告：到 {host} 的传输不加密；隧道则加密（ssh -L 8090:localhost:8090）",
    "serve.no_port": "无法监听 {host} 端口 {port}：{detail}",
    "help.usage": (
        "monitor-tui                    在此终端中打开控制台\n"
        "monitor-tui 命令 --help        某个命令的用法"
    ),
    "help.lists": "列表（--output table|json|ndjson|csv）：",
    "help.one_run": "单个运行：",
    "help.recordings": "录像：",
    "help.other_forms": "控制台的其他形式：",
    "help.itself": "本程序：",
    "help.others": "其他：",
    "help.server": "  连接哪个服务器：",
    "help.screen": "  如何显示：",
    "help.demo": "  不用服务器：",
    "help.all": "  其余：",
    "help.version": "输出版本",
    "help.help": "显示本帮助，或某个命令的帮助",
    "help.more": "按键：控制台中按 ?。全部：monitor-tui man | man -l -",
    "man.exit": "退出码",
    "man.exit_text": (
        "0 完成；1 失败；2 用法；3 等待人工；4 未获许可；5 无法连接服务器；124 超时；130 被中断。"
    ),
    "man.files": "文件",
    "man.files_text": (
        "$XDG_CONFIG_HOME/runwatch/config.toml：设置，表 [console]。\n"
        "$XDG_STATE_HOME/runwatch/monitor-tui.log：控制台的警告。"
    ),
    "man.see": "另见",
    "flag.context": "设置文件 [console.contexts] 中的一个",
    "flag.server": "服务器地址；默认为本机服务器",
    "flag.token_file": "访问令牌文件；本机的会自动找到",
    "flag.ca": "信任的证书机构（PEM）；本机的会自动找到",
    "flag.data_dir": "本机服务器的数据目录",
    "flag.lang": "语言；默认取自 LC_ALL、LANG",
    "flag.theme": "dark、light、high-contrast 或 16；默认按 TERM 和 COLORTERM",
    "flag.time": "时刻的显示方式；默认 local",
    "flag.low_bw": "慢速链路：每秒最多 2 帧，无预览",
    "flag.plain": "以文本行代替屏幕，适用于读屏软件；无终端亦可",
    "flag.read_only": "不启动、不取消、不更改任何东西",
    "flag.serve": "在浏览器中使用控制台；等同于 monitor-tui serve",
    "flag.no_mouse": "把鼠标留给终端",
    "flag.config": "TOML 文件；默认 $XDG_CONFIG_HOME/runwatch/config.toml",
}

LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {"en": EN, "zh": ZH}

DOCTOR: Final[Mapping[str, Mapping[str, str]]] = {"en": en_doctor.WORDS, "zh": zh_doctor.WORDS}


class HeadlessWords(Words):
    """The console's words and those of the commands."""

    def __init__(self, language: str) -> None:
        super().__init__(language)
        self._table = {**self._table, **LANGUAGES[self.language], **DOCTOR[self.language]}


ZH_HELP: Final[Mapping[str, str]] = {
    "The recording.": "录像文件。",
    "Keep the events of this run too; repeatable.": "同时保留该运行的事件；可多次给出。",
    "Keep the events of all runs under way.": "保留所有进行中的运行的事件。",
    "Go on in another file beyond (100M).": "超过该大小则换一个文件（100M）。",
    "So many full files are kept.": "保留多少个写满的文件。",
    "End after that.": "到时结束。",
    "Keep the feed in a file with its times, until ^C; a name that ends in .gz compresses it.": (
        "把实时数据连同时间存入文件，直到 ^C；文件名以 .gz 结尾则压缩。"
    ),
    "From 0.25 to 64, or max.": "0.25 到 64，或 max。",
    "Begin there: 10:31, 10:31:22 or 90s.": "从此处开始：10:31、10:31:22 或 90s。",
    "Begin without moving.": "开始时暂停。",
    "Show a recording as if it were live.": "像实时一样播放录像。",
    "Id of the run.": "运行的 ID。",
    "Where to listen.": "监听地址。",
    "Port; 0 takes a free one.": "端口；0 表示任一空闲端口。",
    "Start, cancel and change things there too.": "在浏览器中也可启动、取消和更改。",
    "Token of the page; needed beyond this machine.": "页面的令牌；供其他机器访问时必需。",
    (
        "Show the console in a browser, until Ctrl-C.\n\n"
        "Prints the address to open. Nobody comes in without the token in it, made anew at each "
        "start."
    ): (
        "在浏览器中显示控制台，直到按 Ctrl-C。\n\n"
        "输出要打开的地址。没有其中的令牌无法进入，令牌每次启动都不同。"
    ),
    "Tell what runs do too, not only their states.": "除状态外也播报运行正在做什么。",
    (
        "Tell each change as a line and take commands as lines: for screen readers.\n\n"
        "Needs no terminal. Ends with quit, or with its input."
    ): ("每个变化一行，命令也逐行输入：适用于读屏软件。\n\n不需要终端。以 quit 或输入结束而结束。"),
    "bash, zsh or fish.": "bash、zsh 或 fish。",
    "Print the completion script of a shell.": "输出某个 shell 的补全脚本。",
    "Print the manual page; read it with: monitor-tui man | man -l -": (
        "输出手册页；阅读：monitor-tui man | man -l -"
    ),
    "How to print.": "输出格式。",
    "Go on and print what changes.": "持续输出变化。",
    "Only what matches, as in the console.": "只输出匹配项，语法同控制台。",
    "Print at most so many.": "最多输出这么多。",
    "List the runs, those that need somebody first.": "列出运行，需要处理的在前。",
    "As this saved view has it.": "按此已存视图输出。",
    (
        "Look at settings, terminal, clipboard and server, and say how to mend what is wrong.\n\n"
        "Exit code: 0 nothing has failed, 1 something has."
    ): ("检查设置、终端、剪贴板和服务器，并说明如何修复。\n\n退出码：0 没有失败，1 有失败。"),
    "List the nodes.": "列出节点。",
    "Print the fleet in numbers.": "输出总体数字。",
    "Go on until the run ends.": "持续到运行结束。",
    "Only events after this number.": "只输出此序号之后的事件。",
    "Print the events of a run.": "输出一个运行的事件。",
    "Give up after that (exit 124).": "超过此时间则放弃（退出码 124）。",
    "How long the server may be away (exit 5).": "服务器可离线多久（退出码 5）。",
    "Go on while the run waits for a human.": "等待人工时也继续等。",
    (
        "Wait until a run ends.\n\n"
        "Exit code: 0 done, 1 failed, 2 usage, 3 waiting for a human, 4 auth, 5 unreachable, "
        "124 timeout."
    ): (
        "等待运行结束。\n\n"
        "退出码：0 完成，1 失败，2 用法，3 等待人工，4 认证，5 无法连接，124 超时。"
    ),
    "What to run.": "要运行的命令。",
    "Name of the task.": "任务名称。",
    "Agent type.": "智能体类型。",
    "What the agent is to do.": "智能体要做的事。",
    "Model of the agent.": "智能体的模型。",
    "A label.": "标签。",
    "Run on this node only.": "只在此节点上运行。",
    "Higher is earlier.": "数值大者优先。",
    "Time limit of the run.": "运行的时限。",
    "Start a run and print its id.": "启动一个运行并输出其 ID。",
    "Say why a run is queued, waiting, unhealthy or failed, or what a node was given and runs.": (
        "说明运行为何排队、等待、异常或失败，或节点被分配了什么、实际在运行什么。"
    ),
    "Remember a server's certificate, or forget it.": "记住或忘记服务器的证书。",
    "Of the server.": "服务器地址。",
    "What `monitor-server fingerprint` prints; nobody is asked.": (
        "`monitor-server fingerprint` 给出的指纹；不再询问。"
    ),
    "Remove what is remembered of the server.": "删除记住的证书。",
    "Id of the other run.": "另一个运行的 ID。",
    "Compare two runs step by step.": "逐步比较两个运行。",
    "List what needs somebody, what is unhealthy and what is short of room.": (
        "列出需要处理的、异常的以及容量不足的。"
    ),
    "List the logins of agents: those under way, and those that nodes have.": (
        "列出智能体的登录：进行中的与节点上的。"
    ),
    "Draw addresses as QR codes too.": "同时把地址画成二维码。",
    "List the tasks, newest first.": "列出任务，最新在前。",
    "Cancel a run.": "取消一个运行。",
    "Why; kept with the run.": "原因，随运行保存。",
}
"""Help in Chinese, by its English text in `commands`."""
