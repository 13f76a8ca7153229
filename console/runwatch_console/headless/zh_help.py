"""Help in Chinese of the commands about logins, instances, proxies and environments."""

from collections.abc import Mapping
from typing import Final

ZH_HELP_OF_LOGINS: Final[Mapping[str, str]] = {
    "What to do.": "要做的事。",
    "Of the login: act-… or op-….": "登录的 ID：act-… 或 op-…。",
    "Name of the account.": "账户名称。",
    "Where to log in.": "在哪里登录。",
    "How; else as the agent usually does.": "方式；不写则按该智能体的惯例。",
    "Through this proxy.": "经此代理。",
    "Read the key or code there; - is stdin.": "从此处读取密钥或代码；- 为标准输入。",
    "Print the id and do not follow it.": "只输出 ID，不跟随。",
    (
        "Begin a login, follow it, give what it asks for, or end it.\n\n"
        "Exit code: 0 logged in, 1 failed, 2 usage, 4 auth, 5 unreachable, 124 timeout."
    ): (
        "开始登录、跟随、提交所需内容或结束它。\n\n"
        "退出码：0 已登录，1 失败，2 用法，4 认证，5 无法连接，124 超时。"
    ),
    "Id of the account.": "账户的 ID。",
    "With its stored copy, when it is deleted.": "删除时连同存储的副本。",
    "List the accounts with their health, or delete one.": "列出账户及其健康状况，或删除一个。",
    "Id of the instance.": "实例的 ID。",
    "Of this node; where to make it.": "属于此节点；在哪里创建。",
    "Of this account.": "属于此账户。",
    "How to call it; else as its account.": "名称；不写则同账户。",
    "List the instances, or make, start, stop or delete one.": (
        "列出实例，或创建、启动、停止、删除一个。"
    ),
    "Id of the proxy.": "代理的 ID。",
    "How it is called.": "名称。",
    "How one speaks to it.": "协议。",
    "Where it is.": "主机。",
    "Its port.": "端口。",
    "Whom it knows.": "用户名。",
    "Ask for its password, or read it.": "询问或读取其密码。",
    "Read the password there; - is stdin.": "从此处读取密码；- 为标准输入。",
    "Hosts reached without it.": "不经代理的主机。",
    "What to fetch in a test.": "测试时获取的地址。",
    "List the proxies, or add, change, test or delete one.": (
        "列出代理，或添加、修改、测试、删除一个。"
    ),
    "Id of the node.": "节点的 ID。",
    "Give its runs this.": "给其运行此变量。",
    "Give it no longer.": "不再给出。",
    "Try its proxy from the node.": "从该节点测试其代理。",
    "Show or change what the runs of a node are started with.": (
        "显示或修改节点的运行以什么启动。"
    ),
}
"""By its English text in `login_commands` and `machine_commands`."""
