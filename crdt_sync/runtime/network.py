"""What an address of a host says about who can reach it."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`; names other than localhost are taken to be reachable."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
