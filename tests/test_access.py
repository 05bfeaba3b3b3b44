"""Read only or control: what the user chooses decides the scopes and the entities."""

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.helpers import device_registry as dr, entity_registry as er

from .home import Home

READ_SCOPES = "sub%20email%20hubs:read%20accounts:read"
READ_ONLY = {("sensor", "active_port"), ("binary_sensor", "port_1_active")}
CONTROL_ONLY = {("select", "active_port"), ("switch", "port_1")}


def there(home: Home, entities: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the entities that the boardroom has."""
    return {
        (platform, key) for platform, key in entities if home.entity_id(platform, "Boardroom", key)
    }


def others(home: Home) -> dict[str, str]:
    """Return the ids of all entities that exist with either access, by unique id."""
    registry = er.async_get(home.hass)
    return {
        entity.unique_id: entity.entity_id
        for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id)
        if entity.domain in ("binary_sensor", "sensor")
        and entity.translation_key not in ("active_port", "port_active")
    }


@pytest.mark.parametrize(
    ("access", "scopes"), [("read", READ_SCOPES), ("control", f"{READ_SCOPES}%20hubs:write")]
)
async def test_access_decides_the_scopes(home: Home, access: str, scopes: str) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url, access=access)
    query = URL(step["url"], encoded=True).raw_query_string
    assert f"scope={scopes}" in query.replace("%3A", ":").split("&")


async def test_read_only_is_the_default(home: Home) -> None:
    await home.add_credentials()
    step = await home.start_flow()
    [field] = [field for field in step["data_schema"] if field["name"] == "access"]
    assert field["default"] == "read"


@pytest.mark.parametrize(
    ("access", "present", "absent"),
    [("read", READ_ONLY, CONTROL_ONLY), ("control", CONTROL_ONLY, READ_ONLY)],
)
async def test_access_decides_the_entities(
    home: Home, access: str, present: set[tuple[str, str]], absent: set[tuple[str, str]]
) -> None:
    await home.link_account(access=access)
    assert there(home, present | absent) == present


async def test_reconfigure_changes_access_either_way(home: Home, entry: ConfigEntry) -> None:
    before = others(home)
    boardroom = home.device("Boardroom")
    assert boardroom is not None
    dr.async_get(home.hass).async_update_device(boardroom.id, name_by_user="The big one")

    step = await home.run_reconfigure_flow(access="control")
    assert step["reason"] == "reconfigure_successful"
    assert entry.state is ConfigEntryState.LOADED
    assert there(home, READ_ONLY | CONTROL_ONLY) == CONTROL_ONLY
    assert others(home) == before

    step = await home.run_reconfigure_flow(access="read")
    assert step["reason"] == "reconfigure_successful"
    assert there(home, READ_ONLY | CONTROL_ONLY) == READ_ONLY
    assert others(home) == before
    boardroom = home.device("Boardroom")
    assert boardroom is not None
    assert boardroom.name_by_user == "The big one"


async def test_reconfigure_shows_the_present_choice(home: Home) -> None:
    entry = await home.link_account(access="control")
    step = await home.start_flow(entry_id=entry.entry_id)
    suggested = {
        field["name"]: field["description"]["suggested_value"] for field in step["data_schema"]
    }
    assert suggested == {"server": home.simulator.url, "access": "control"}


async def test_signing_in_again_keeps_the_access(home: Home) -> None:
    entry = await home.link_account(access="control")
    home.simulator.revoke_access()
    await home.poll()
    [flow] = home.hass.config_entries.flow.async_progress()
    step = await home.sign_in(await home.submit_form({"flow_id": flow["flow_id"]}))
    assert step["reason"] == "reauth_successful"
    assert entry.data["access"] == "control"
    assert there(home, READ_ONLY | CONTROL_ONLY) == CONTROL_ONLY


async def test_application_without_the_scope_is_told_which_box_to_tick(home: Home) -> None:
    await home.add_credentials("read-only-app", "read-only-secret")
    step = await home.run_user_flow(access="control")
    assert (step["type"], step["reason"]) == ("abort", "control_scope_missing")
    assert step["description_placeholders"]["scopes"].endswith("hubs:write")
    step = await home.run_user_flow(access="read")
    assert step["type"] == "create_entry"


async def test_scope_that_the_vendor_leaves_out_is_noticed(home: Home) -> None:
    await home.add_credentials()
    step = await home.submit_form(
        await home.start_flow(), server=home.simulator.url, access="control"
    )
    location = await home.simulator.approve(
        step["url"].replace("%20hubs%3Awrite", "").replace("%20hubs:write", "")
    )
    step = await home.follow_redirect(step, location)
    assert (step["type"], step["reason"]) == ("abort", "control_scope_missing")


async def test_vendor_that_does_not_tell_the_scopes_is_trusted(home: Home) -> None:
    home.simulator.settings.scope_in_answer = False
    entry = await home.link_account(access="control")
    assert entry.state is ConfigEntryState.LOADED


@pytest.mark.parametrize("access", ["read", "control"])
async def test_account_of_many_hubs_begins_with_the_entities_that_matter(
    home: Home, monkeypatch: pytest.MonkeyPatch, access: str
) -> None:
    monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 3)
    await home.link_account(access=access)
    hub = home.simulator.hub("Boardroom").id
    registry = er.async_get(home.hass)
    enabled = {
        entity.unique_id.removeprefix(f"{hub}_")
        for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id)
        if entity.unique_id.startswith(hub) and not entity.disabled_by
    }
    connected = {f"port_{port}_connected" for port in (1, 2, 3, 4)}
    assert enabled == {"active_port", "in_use", "connectivity", "overheating"} | connected
    # The others are there to be enabled.
    assert home.entity_id("binary_sensor", "Boardroom", "admin_mode")


async def test_account_of_fewer_hubs_begins_with_all_that_people_use(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 4)
    await home.link_account(access="control")
    assert home.state("switch", "Boardroom", "port_1") == "on"
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "off"
