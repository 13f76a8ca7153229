"""Values of variables are kept sealed, and opened by the same key and name alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server.vault import PREFIX, Vault, VaultError

KEY = "k" * 64


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_what_was_sealed_is_opened_again(env):
    sealed = Vault(KEY).seal(env)
    assert sealed is not None
    assert sealed.keys() == env.keys()
    assert Vault(KEY).open(sealed) == env


def test_nothing_of_a_value_is_seen_and_no_two_sealings_are_alike():
    vault = Vault(KEY)
    first, second = (vault.seal({"A": "a secret value"}) for _ in range(2))
    assert first != second
    assert "secret" not in str(first)


def test_another_key_another_name_or_a_changed_value_opens_nothing():
    sealed = Vault(KEY).seal({"A": "value"})
    assert sealed is not None
    text = sealed["A"]
    for vault, env in (
        (Vault("x" * 64), {"A": text}),
        (Vault(KEY), {"B": text}),
        (Vault(KEY), {"A": text[:-8] + "AAAAAAA="}),
        (Vault(KEY), {"A": PREFIX + "no base64"}),
        (Vault(KEY), {"A": PREFIX}),
    ):
        with pytest.raises(VaultError):
            vault.open(env)


def test_values_of_stores_from_before_stay_readable_and_none_is_none():
    assert Vault(KEY).open({"A": "plain"}) == {"A": "plain"}
    assert Vault(KEY).open(None) is None
    assert Vault(KEY).seal(None) is None
