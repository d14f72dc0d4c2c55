"""Once all is quiet: everybody sees what others have open, audits find nothing, and no session is left over."""

from functools import partial
from typing import TYPE_CHECKING

from crdt_bench.simulator.devices import RELAY, Device
from crdt_bench.simulator.failure import Failure
from crdt_sync.errors import CrdtSyncError
from crdt_sync.runtime.audits import Audit

if TYPE_CHECKING:
    from crdt_bench.simulator.world import World

_SECOND_US = 1_000_000
_PRESENCE_S = 1
_AUDIT_S = 30
_LEFT_OVER_S = 200  # a host that was told nothing finds out by itself


def check(world: "World") -> None:
    """See the module. Raises `Failure`."""
    if world.scenario.http:  # a relay knows of a device that crashed once it has made no requests for a while
        _check_sessions(world)
    devices = [device for device in world.devices if RELAY in device.partners]
    for device in devices[:1]:  # told at once, and not with what is sent anyway
        device.act(partial(device.presence.open, world.workload.records[:1]))
    world.until(world.loop.now_us + _PRESENCE_S * _SECOND_US)
    for device in devices:
        _check_presence(device, devices)
    for device in devices:
        _audit(world, device)
    _check_sessions(world)


def _check_presence(device: Device, devices: list[Device]) -> None:
    others = sorted(entry for other in devices if other is not device for entry in other.presence.ours)
    seen = sorted(device.presence.others)
    if seen != others:
        raise Failure("presence", f"{device.name} sees {seen} open elsewhere, not {others}")


def _audit(world: "World", device: Device) -> None:
    found: list[Audit | CrdtSyncError] = []
    device.audit(content=True, heals=False, audited=found.append)
    for _ in range(_AUDIT_S):
        if found:
            break
        world.until(world.loop.now_us + _SECOND_US)
    audit = found[0] if found else None
    if not isinstance(audit, Audit) or not audit.equal or audit.changing:
        raise Failure("audit", f"{device.name} and the relay hold the same, but an audit says {audit}")


def _check_sessions(world: "World") -> None:
    """A host keeps no session whose other end is gone."""
    for _ in range(_LEFT_OVER_S):
        if not (left := _left_over(world)):
            return
        world.until(world.loop.now_us + _SECOND_US)
    raise Failure("sessions", f"sessions whose other end is gone are kept: {left}")


def _left_over(world: "World") -> dict[str, int]:
    """By host, how many more sessions it has than others have with it."""
    hosts = {RELAY: world.relay} | {device.name: device.host for device in world.devices if device.host is not None}
    talks = [talk.name for device in world.devices for talk in device.conversations]
    return {name or "relay": more for name, host in hosts.items() if (more := len(host.hub) - talks.count(name)) > 0}
