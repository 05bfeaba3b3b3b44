"""Reading of a server's address."""

from ipaddress import ip_address

from yarl import URL


def base_url(text: str) -> str | None:
    """Return the base URL without a trailing slash: https, or http with a loopback host.

    None for any other text.
    """
    try:
        url = URL(text.strip())
        # An invalid international domain name raises only here.
        url.host  # noqa: B018
    except ValueError:
        return None
    if (
        not url.host
        or " " in url.host
        or url.user
        or url.password
        or url.query_string
        or url.fragment
    ):
        return None
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        return None
    return str(url).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
