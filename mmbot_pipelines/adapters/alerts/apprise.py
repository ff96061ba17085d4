"""The port `Channel` by Apprise: one URL of MMBOT_ALERT_URLS is one channel.

A URL is a secret as a whole: for some services its host is the token. Only its
scheme is ever shown, and Apprise's own log, which has the whole URL, is switched off.
"""

import logging
from hashlib import blake2b

import apprise
from apprise.common import NotifyFormat, NotifyType, OverflowMode, PersistentStoreMode

from mmbot_pipelines.core.alerts import Notification, NotSent, Severity
from mmbot_pipelines.core.errors import InvalidSettings

_SEND_SECONDS = 10.0

_TYPES = {
    Severity.CRITICAL: NotifyType.FAILURE,
    Severity.HIGH: NotifyType.FAILURE,
    Severity.MEDIUM: NotifyType.WARNING,
    Severity.LOW: NotifyType.INFO,
}


class AppriseChannel:
    """One Apprise URL."""

    def __init__(self, url: str, *, number: int = 1, send_seconds: float = _SEND_SECONDS) -> None:
        """Parse the URL; nothing is sent yet.

        number: its place in MMBOT_ALERT_URLS, from 1.

        Raises:
            InvalidSettings: Apprise does not know such a URL.
        """
        scheme = url.partition("://")[0].lower()
        # The digest differs between two URLs of one scheme, and after a URL is changed.
        self.name = f"{scheme} {blake2b(url.encode(), digest_size=4).hexdigest()}"
        self._send_seconds = send_seconds
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        asset = apprise.AppriseAsset(
            app_id="MM Bot",
            app_desc="MM Bot",
            app_url="",
            interpret_escapes=False,
            interpret_emojis=False,
            plugin_paths=[],
            storage_mode=PersistentStoreMode.MEMORY,
        )
        service = apprise.Apprise.instantiate(url, asset=asset)
        if service is None:
            raise InvalidSettings(
                f"MMBOT_ALERT_URLS has as its entry {number} a {scheme} URL that Apprise does "
                "not understand: check it against Apprise's list of services"
            )
        if "overflow=" not in url:
            # What is longer than the service takes comes in parts, or it would never come.
            service.overflow_mode = OverflowMode.SPLIT
        self._apprise = apprise.Apprise(service, asset=asset)

    def __repr__(self) -> str:
        return f"AppriseChannel({self.name})"

    def send(self, notification: Notification) -> None:
        """Send a notification.

        Raises:
            NotSent: the service did not take it within 10 seconds.
        """
        kind = NotifyType.SUCCESS if notification.is_resolved else _TYPES[notification.severity]
        try:
            taken = bool(
                self._apprise.notify(
                    title=notification.title,
                    body=notification.text,
                    notify_type=kind,
                    body_format=NotifyFormat.TEXT,
                    timeout=self._send_seconds,
                )
            )
        except Exception as e:  # of a hundred services, each with errors of its own
            refusal = NotSent(f"the service failed ({type(e).__name__})")
        else:
            if taken:
                return
            refusal = NotSent("the service did not take the notice: check its URL and its state")
        # Outside of the handler: what is chained could hold the URL.
        raise refusal
