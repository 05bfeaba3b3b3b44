"""Tests of the access option: its scopes, its entities and how it is changed."""

import pytest
from yarl import URL

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.helpers import device_registry as dr, entity_registry as er

from .home import Home

READ_SCOPES = "sub%20email%20hubs:read%20accounts:read"
READ_ONLY_ENTITIES = {("sensor", "active_port"), ("binary_sensor", "port_1_active")}
CONTROL_ENTITIES = {("select", "active_port"), ("switch", "port_1")}


def registered(home: Home, entities: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the entities, given as platform and key, that the boardroom has."""
    return {
        (platform, key) for platform, key in entities if home.entity_id(platform, "Boardroom", key)
    }


def common_entity_ids(home: Home) -> dict[str, str]:
    """Return the ids of the entities that exist with either access, by unique id."""
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
async def test_access_determines_requested_scopes(home: Home, access: str, scopes: str) -> None:
    await home.add_credentials()
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url, access=access)
    query = URL(step["url"], encoded=True).raw_query_string
    assert f"scope={scopes}" in query.replace("%3A", ":").split("&")


async def test_user_form_default_access_is_read(home: Home) -> None:
    await home.add_credentials()
    step = await home.start_flow()
    [field] = [field for field in step["data_schema"] if field["name"] == "access"]
    assert field["default"] == "read"


@pytest.mark.parametrize(
    ("access", "present", "absent"),
    [
        ("read", READ_ONLY_ENTITIES, CONTROL_ENTITIES),
        ("control", CONTROL_ENTITIES, READ_ONLY_ENTITIES),
    ],
    ids=["read", "control"],
)
async def test_access_determines_entities(
    home: Home, access: str, present: set[tuple[str, str]], absent: set[tuple[str, str]]
) -> None:
    await home.link_account(access=access)
    assert registered(home, present | absent) == present


async def test_reconfigure_with_other_access_replaces_only_its_entities(
    home: Home, entry: ConfigEntry
) -> None:
    before = common_entity_ids(home)
    boardroom = home.device("Boardroom")
    assert boardroom is not None
    dr.async_get(home.hass).async_update_device(boardroom.id, name_by_user="The big one")

    step = await home.run_reconfigure_flow(access="control")
    assert step["reason"] == "reconfigure_successful"
    assert entry.state is ConfigEntryState.LOADED
    assert registered(home, READ_ONLY_ENTITIES | CONTROL_ENTITIES) == CONTROL_ENTITIES
    assert common_entity_ids(home) == before

    step = await home.run_reconfigure_flow(access="read")
    assert step["reason"] == "reconfigure_successful"
    assert registered(home, READ_ONLY_ENTITIES | CONTROL_ENTITIES) == READ_ONLY_ENTITIES
    assert common_entity_ids(home) == before
    boardroom = home.device("Boardroom")
    assert boardroom is not None
    assert boardroom.name_by_user == "The big one"


async def test_reconfigure_form_suggests_current_server_and_access(home: Home) -> None:
    entry = await home.link_account(access="control")
    step = await home.start_flow(entry_id=entry.entry_id)
    suggested = {
        field["name"]: field["description"]["suggested_value"] for field in step["data_schema"]
    }
    assert suggested == {"server": home.simulator.url, "access": "control"}


async def test_reauth_keeps_access(home: Home) -> None:
    entry = await home.link_account(access="control")
    home.simulator.revoke_access()
    await home.poll()
    [flow] = home.hass.config_entries.flow.async_progress()
    step = await home.sign_in(await home.submit_form({"flow_id": flow["flow_id"]}))
    assert step["reason"] == "reauth_successful"
    assert entry.data["access"] == "control"
    assert registered(home, READ_ONLY_ENTITIES | CONTROL_ENTITIES) == CONTROL_ENTITIES


async def test_user_flow_control_with_read_only_application_aborts_and_names_scopes(
    home: Home,
) -> None:
    await home.add_credentials("read-only-app", "read-only-secret")
    step = await home.run_user_flow(access="control")
    assert (step["type"], step["reason"]) == ("abort", "control_scope_missing")
    assert step["description_placeholders"]["scopes"].endswith("hubs:write")
    step = await home.run_user_flow(access="read")
    assert step["type"] == "create_entry"


async def test_user_flow_control_without_granted_scope_aborts(home: Home) -> None:
    await home.add_credentials()
    step = await home.submit_form(
        await home.start_flow(), server=home.simulator.url, access="control"
    )
    location = await home.simulator.approve(
        step["url"].replace("%20hubs%3Awrite", "").replace("%20hubs:write", "")
    )
    step = await home.follow_redirect(step, location)
    assert (step["type"], step["reason"]) == ("abort", "control_scope_missing")


async def test_user_flow_control_with_unknown_granted_scopes_succeeds(home: Home) -> None:
    home.simulator.settings.scope_in_answer = False
    entry = await home.link_account(access="control")
    assert entry.state is ConfigEntryState.LOADED
