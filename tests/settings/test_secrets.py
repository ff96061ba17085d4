"""Secrets are not shown with the settings that hold them."""

import pytest

from mmbot_pipelines import settings
from tests.settings.environments import GOOD, SECRET


def test_settings_show_no_secret() -> None:
    read = settings.load(
        GOOD
        | {
            "MMBOT_DATABASE_URL": "postgresql://bot:hunter2@db/mmbot",
            "MMBOT_ALERT_URLS": "tgram://token3/chat",
            "MMBOT_L1_WS_URLS": "wss://one.example/wskey4",
        }
    )
    shown = f"{read!r} {read} {read.key!r} {read.l1} {read.model_dump()} {read.model_dump_json()}"
    for secret in (SECRET, "hunter2", "pass1", "apikey1", "token3", "wskey4"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@node.example/v2/apikey?k=1", "https://node.example"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545/x", "http://[::1]:8545"),
        ("nonsense", "an unreadable URL"),
        ("http://[", "an unreadable URL"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert settings.place(url) == shown
