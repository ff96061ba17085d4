"""Text that somebody else wrote, as JSON-RPC brings it."""

from mmbot_pipelines.core.untrusted import cleaned

__all__ = ["cleaned"]
