"""Devices that join a space at a running relay, prove themselves, and are shut out."""

import asyncio

import pytest

from tests.relay.people import device, invited, join, names, sync, with_people


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_a_device_joins_and_syncs_without_a_token(tmp_path, transport) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay), transport=transport)
                await join(ben, invited(relay, "ben"), transport=transport)
                with anna.edit("customers") as customer:
                    customer["name"] = "Müller GmbH"
                await sync(anna, relay.url, transport=transport)
                await sync(ben, relay.url, transport=transport)
                assert names(ben) == ["Müller GmbH"]
                assert ben.membership.claims().user == "ben"
                assert ben.membership.statements.policy is not None
            known = relay.people.devices()["devices"]
            assert [(each["user"], each["name"]) for each in known] == [("anna", "anna-phone"), ("ben", "ben-phone")]

    asyncio.run(story())
