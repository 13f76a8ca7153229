"""Which settings of alerts are accepted; a wrong one is said without quoting the URL."""

import base64
from typing import Any

import pytest

from runwatch_server.alerts.signing import signed_headers
from runwatch_server.alerts.target import kinds_of, target_of
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings
from tests.server.alerts.receiver import SECRET


def settings(url: str, **changes: Any) -> ServerSettings:
    return ServerSettings(**{"webhook_url": url, "webhook_secret": SECRET, **changes})


@pytest.mark.parametrize(
    "url",
    [
        "https://relay.example.org/path?key=1",
        "https://10.1.2.3:8443/",
        "http://127.0.0.1:9/",
        "http://localhost/",
        "http://[::1]:80/",
        "http://127.1/",
    ],
)
def test_a_receiver_is_accepted(url: str) -> None:
    target = target_of(settings(url))
    assert target is not None
    assert target.url == url
    assert url not in repr(target)


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no scheme": ("relay.example.org/tok", {}, "no URL"),
    "another scheme": ("ftp://h/tok", {}, "https"),
    "a file": ("file:///etc/tok", {}, "no URL"),
    "a password": ("https://u:tok@h/", {}, "user name"),
    "a fragment": ("https://h/#tok", {}, "fragment"),
    "a line end": ("https://h/tok\nx", {}, "no URL"),
    "a port that is none": ("https://h:99999/tok", {}, "no URL"),
    "plain http to others": ("http://relay.example.org/tok", {}, "webhook_plain_http"),
    "a metadata service": ("https://169.254.169.254/tok", {}, "nothing can be sent"),
    "the same, mapped": ("https://[::ffff:169.254.169.254]/tok", {}, "nothing can be sent"),
    "the same, as a number": ("https://2852039166/tok", {}, "nothing can be sent"),
    "the same, in hexadecimal": ("https://0xa9fea9fe/tok", {}, "nothing can be sent"),
    "the same, with a dot": ("https://169.254.169.254./tok", {}, "nothing can be sent"),
    "link-local": ("https://[fe80::1]/tok", {}, "nothing can be sent"),
    "multicast": ("https://224.0.0.1/tok", {}, "nothing can be sent"),
    "unspecified": ("http://0.0.0.0/tok", {"webhook_plain_http": True}, "nothing can be sent"),
    "no secret": ("https://h/tok", {"webhook_secret": ""}, "webhook_secret"),
    "a short secret": ("https://h/tok", {"webhook_secret": "c2hvcnQ="}, "webhook_secret"),
    "a secret that is no base64": ("https://h/tok", {"webhook_secret": "é" * 40}, "base64"),
    "an unknown kind": ("https://h/tok", {"webhook_kinds": ["done"]}, "webhook_kinds"),
    "no authority": ("https://h/tok", {"webhook_ca": "/nowhere.pem"}, "webhook_ca"),
    "no tries": ("https://h/tok", {"webhook_attempts": 0}, "webhook_attempts"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_setting_that_cannot_be_used_is_named(case: str) -> None:
    url, changes, said = WRONG[case]
    with pytest.raises(SettingsError) as refused:
        target_of(settings(url, **changes))
    assert said in str(refused.value)
    assert "tok" not in str(refused.value)


def test_without_a_url_nothing_is_checked_and_nothing_sent() -> None:
    assert target_of(ServerSettings(webhook_secret="bad")) is None


def test_plain_http_is_a_decision() -> None:
    assert target_of(settings("http://relay.example.org/", webhook_plain_http=True)) is not None


def test_kinds_that_are_named_replace_the_usual_ones() -> None:
    assert kinds_of(settings("https://h/", webhook_kinds=["failed", "slow"])) == {"failed", "slow"}
    assert "stalled" in kinds_of(settings("https://h/"))


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the standard's own reference libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(
        (key,),
        alert_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp_s=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_give_two_signatures() -> None:
    other = base64.b64encode(b"o" * 24).decode()
    target = target_of(settings("https://h/", webhook_secret=f"{SECRET} {other}"))
    assert target is not None
    headers = signed_headers(target.keys, alert_id="a", timestamp_s=1, body=b"{}")
    assert len(headers["webhook-signature"].split(" ")) == 2
