"""The console's words about servers and whether they are trusted, in Chinese."""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "loss.no_token": "没有令牌",
    "advice.no_token": "凭据：{credential}，上下文 {context}。没有发送任何内容；按 r 重试。",
    "loss.changed_certificate": "证书与记住的不同",
    "advice.certificate": "{fingerprint}\n"
    "没有发送任何内容。按 r 询问是否信任；不用屏幕时：monitor-tui trust {url}",
    "advice.certificate_unusable": "{fingerprint}\n"
    "没有发送任何内容。信任它也无济于事：需由服务器更正，或换一个 --ca 文件。",
    "advice.certificate_changed": "记住的\n{known}\n现在的\n{fingerprint}\n"
    "没有发送任何内容。服务器换了证书机构，或者有别的程序在冒充它：请询问管理员。\n"
    "只有确认无误时，才删除这一行 {place}\n"
    "或运行：monitor-tui trust {url} --forget",
    "command.ctx": "列出服务器；带名称则切换过去",
    "ctx.title": "服务器",
    "ctx.note": "⏎ 切换   取自设置文件的 [console.contexts]，见 docs/contexts.md",
    "ctx.asking": "询问中…",
    "ctx.answers": "有应答",
    "ctx.silent": "无应答",
    "ctx.untrusted": "不受信任",
    "ctx.changed": "证书已变",
    "ctx.unusable": "无法使用",
    "ctx.now": "现在是 {name}",
    "ctx.none": "这里没有别的服务器",
    "trust.title": "信任 {host}？",
    "trust.why": "没有已知机构为 {url} 担保。尚未向它发送任何内容。",
    "trust.ca": "它的证书机构的指纹；以后它续签证书时不再询问：",
    "trust.cert": "它的证书的指纹；它没有给出证书机构，换了证书就会被拒绝：",
    "trust.compare": "请与服务器上下面命令的输出逐字比较：",
    "trust.remembered": "将记在 {place}",
    "trust.ask": "y  相同，信任它     n  不信任",
    "trust.done": "今后信任 {host}",
    "trust.refused": "没有信任；按 r 再次询问",
    "trust.failed": "{error}",
}
