"""A websocket that goes straight to its address: whatever the environment says, or the other side.

The library would take a proxy from the environment and follow redirects to any host. What is said
first on the user channel are credentials: they are for the address in the settings alone.
"""

from websockets.asyncio.client import connect


class connect_directly(connect):  # noqa: N801  # used like the library's `connect`
    """`websockets.connect` without proxies and without redirects."""

    def __init__(self, uri: str, **options: object) -> None:
        super().__init__(uri, proxy=None, **options)  # type: ignore[arg-type]

    def process_redirect(self, exc: Exception) -> Exception:
        """Take a redirect for the refusal that it is."""
        return exc
