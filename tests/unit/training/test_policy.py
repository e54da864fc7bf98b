"""The operating policy."""

import pytest

from training.policy import configured_policy


@pytest.mark.parametrize("line", ["wrong_at_most = 0", "others_share = 1.5", "others_share = true", "wrong = 0.01"])
def test_an_invalid_policy_is_refused_with_its_key(tmp_path, line):
    (tmp_path / "vehicles.toml").write_text(f"[policy]\n{line}\n")
    with pytest.raises(ValueError, match=line.split()[0]):
        configured_policy(tmp_path / "vehicles.toml")
