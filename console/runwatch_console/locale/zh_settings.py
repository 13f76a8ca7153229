"""视图、主题与设置的中文词。"""

from typing import Final

WORDS: Final = {
    "view.title": "视图（回车显示，esc 关闭）",
    "view.note": ":save 名称 保存“运行”屏当前所示 · ctrl+x 删除自己的视图",
    "view.own": "自己的",
    "view.given": "内置",
    "view.every": "所有运行",
    "view.shown": "视图",
    "view.none": "没有视图 {name}；现有：{names}",
    "view.kept": "视图 {name} 已保存到 {path}",
    "view.deleted": "视图 {name} 已删除",
    "view.delete": "删除视图 {name}？",
    "view.delete_effect": "将从 {path} 中删除。不影响任何运行。",
    "view.delete_ask": "y 删除     n 或 esc 保留",
    "view.built_in": "{name} 是内置视图，不能替换或删除",
    "view.bad_name": "视图名称须为 1 至 {most} 个可显示的字符",
    "view.not_here": "请在“运行”屏（2）保存视图",
    "view.no_file": "没有可写入的设置文件",
    "view.twice": "{name} 出现了两次",
    "setting.near": "不认识 {name}；是否指 {near}？",
    "setting.one_of": "{name} 不在 {names} 之中",
    "key.runs.views": "已存视图",
    "key.views.delete": "删除自己的这个视图；会先询问",
    "command.no_column": "没有列 {name} 或重复；列：{names}",
    "command.no_theme": "没有主题 {name}；可用主题：{names}",
    "setting.no_key": "没有名为 {key} 的键",
    "setting.taken": "{key} 也是 {other} 的键",
    "setting.motion": "{key} 是 vi 的移动键，而 {name} 不可撤销",
    "setting.approve": "{key} 用于打开或同意，或紧邻 y，而 {name} 不可撤销",
    "setting.no_columns": "只有 {names} 可以选列",
}
