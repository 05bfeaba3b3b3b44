"""Tests of the account identity: by the account's id, the user's id or the hubs."""

import asyncio
from pathlib import Path

import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryDisabler
from homeassistant.helpers import device_registry as dr

from .home import HUBS_PATH, TOKEN_PATH, Home, Step
from .https_proxy import HttpsProxy
from .oauth import HeldResponse
from .simulator import Fault

ACCOUNTS_PATH = "/api/accounts/v1"
USER_PATH = "/identity/oauth/v2/userinfo"


@pytest.fixture
async def user_entry(home: Home) -> ConfigEntry:
    """Link an account whose id is unknown, so that the entry has the id of the user."""
    home.simulator.add_fault("GET", ACCOUNTS_PATH, Fault.status(404), times=None)
    return await home.link_account()


async def test_reconfigure_entry_with_user_id_and_other_account_aborts(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    step = await home.run_reconfigure_flow("Second Organisation")
    assert step["reason"] == "wrong_account"


async def test_reconfigure_entry_with_user_id_recognises_account_by_its_hubs(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    assert (await home.run_reconfigure_flow())["reason"] == "reconfigure_successful"


async def test_user_flow_account_linked_with_user_id_updates_its_entry(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    assert (await home.run_user_flow())["reason"] == "account_updated"
    assert home.entry.data["account_id"] == home.simulator.database.account().id


async def test_reconfigure_account_not_told_any_more_aborts_as_unknown(
    home: Home, entry: ConfigEntry
) -> None:
    for path in (ACCOUNTS_PATH, USER_PATH):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    assert (await home.run_reconfigure_flow())["reason"] == "account_unknown"


async def test_reconfigure_account_and_user_unknown_without_hubs_aborts_as_unknown(
    home: Home, entry: ConfigEntry
) -> None:
    for path in (ACCOUNTS_PATH, USER_PATH):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"), times=None)
    assert (await home.run_reconfigure_flow())["reason"] == "account_unknown"


async def test_reconfigure_account_without_id_and_hubs_is_recognised_by_user(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"))
    assert (await home.run_reconfigure_flow())["reason"] == "reconfigure_successful"


async def test_reconfigure_account_without_id_and_hubs_and_other_user_aborts(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"))
    home.simulator.add_fault("GET", USER_PATH, Fault.body('{"sub": "other"}'))
    assert (await home.run_reconfigure_flow())["reason"] == "wrong_account"


# Several accounts


@pytest.mark.parametrize("send_account_id", [True, False])
async def test_user_flow_several_accounts_in_response_creates_entry_for_each(
    home: Home, send_account_id: bool
) -> None:
    home.simulator.settings.update({"accounts_form": "all", "send_account_id": send_account_id})
    first = await home.link_account()
    step = await home.run_user_flow("Second Organisation")
    assert step["type"] == "create_entry"
    entries = home.hass.config_entries.async_entries("ochno")
    assert len({entry.unique_id for entry in entries}) == 2
    second = next(entry for entry in entries if entry is not first)
    for entry, name in ((first, "Boardroom"), (second, "Elsewhere")):
        assert home.simulator.hub(name).id in entry.runtime_data.coordinator.data
    # With the account id, the name of the account is known as well.
    expected_title = "Second Organisation" if send_account_id else "Anna Andersson"
    assert second.title == expected_title


@pytest.mark.parametrize("send_account_id", [True, False])
async def test_reauth_several_accounts_in_response_and_other_account_aborts(
    home: Home, send_account_id: bool
) -> None:
    home.simulator.settings.update({"accounts_form": "all", "send_account_id": send_account_id})
    entry = await home.link_account()
    hubs = set(entry.runtime_data.coordinator.data)
    assert (await reauth(home, entry, "Second Organisation"))["reason"] == "wrong_account"
    assert hub_ids(home, entry) == hubs


@pytest.mark.parametrize("send_account_id", [True, False])
async def test_reauth_several_accounts_in_response_and_same_account_succeeds(
    home: Home, send_account_id: bool
) -> None:
    home.simulator.settings.update({"accounts_form": "all", "send_account_id": send_account_id})
    entry = await home.link_account()
    assert (await reauth(home, entry))["reason"] == "reauth_successful"
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_account_id_of_spaces_identifies_account_without_hubs(home: Home) -> None:
    home.simulator.settings.update({"accounts_form": "all", "send_account_id": True})
    home.simulator.remove_hub("Elsewhere")
    home.simulator.database.add_space("Lobby", "Second Organisation")
    await home.add_credentials()
    assert (await home.run_user_flow("Second Organisation"))["type"] == "create_entry"
    account = home.simulator.database.account("Second Organisation")
    assert (home.entry.unique_id, home.entry.title) == (account.id, account.name)


# Accounts without an id


@pytest.fixture
async def user_entries(home: Home, user_entry: ConfigEntry) -> tuple[ConfigEntry, ConfigEntry]:
    """Link both accounts of one user; their ids are unknown."""
    step = await home.run_user_flow("Second Organisation")
    assert step["type"] == "create_entry"
    entries = home.hass.config_entries.async_entries("ochno")
    return user_entry, next(entry for entry in entries if entry is not user_entry)


async def test_user_flow_second_account_of_user_without_account_ids_creates_entry(
    home: Home, user_entries: tuple[ConfigEntry, ConfigEntry]
) -> None:
    first, second = user_entries
    assert first.unique_id != second.unique_id
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.state("sensor", "Elsewhere", "active_port") == "none"


@pytest.mark.parametrize("account", ["Example Organisation", "Second Organisation"])
async def test_user_flow_linked_account_without_account_id_updates_its_entry(
    home: Home, user_entries: tuple[ConfigEntry, ConfigEntry], account: str
) -> None:
    tokens = [entry.data["token"] for entry in user_entries]
    assert (await home.run_user_flow(account))["reason"] == "account_updated"
    updated = [entry.data["token"] != old for entry, old in zip(user_entries, tokens, strict=True)]
    assert updated == [account == "Example Organisation", account == "Second Organisation"]


@pytest.mark.parametrize("only_hub", [False, True])
async def test_user_flow_account_with_hub_that_identified_linked_account_keeps_that_account(
    home: Home, only_hub: bool
) -> None:
    for path in (ACCOUNTS_PATH, USER_PATH):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    entry = await home.link_account()
    hub_id = min(hub_ids(home, entry))
    assert entry.unique_id == f"hub_{hub_id}"
    home.simulator.move_hub(hub_id, "Second Organisation")
    if only_hub:
        home.simulator.remove_hub("Elsewhere")
    await home.poll(6)
    step = await home.run_user_flow("Second Organisation")
    # A new entry with the same unique id would replace the linked account.
    assert entry in home.hass.config_entries.async_entries("ochno")
    assert home.state("sensor", "Workshop", "active_port") == "none"
    if only_hub:
        assert step["reason"] == "account_unknown"
    else:
        assert step["type"] == "create_entry"
        assert home.state("sensor", hub_id, "active_port") not in (None, "unavailable")


async def test_user_flow_account_id_found_later_is_stored_and_kept(
    home: Home, user_entry: ConfigEntry
) -> None:
    unique_id, account_id = user_entry.unique_id, home.simulator.database.account().id
    home.simulator.clear_faults()
    assert (await home.run_user_flow())["reason"] == "account_updated"
    assert (user_entry.unique_id, user_entry.data["account_id"]) == (unique_id, account_id)
    home.simulator.add_fault("GET", ACCOUNTS_PATH, Fault.status(404), times=None)
    home.simulator.settings.send_account_id = True
    assert (await home.run_user_flow())["reason"] == "account_updated"
    assert user_entry.data["account_id"] == account_id


async def test_user_flow_account_id_unknown_and_hubs_of_linked_account_aborts(
    home: Home, entry: ConfigEntry
) -> None:
    # The hubs could have moved here from the linked account.
    home.simulator.add_fault("GET", ACCOUNTS_PATH, Fault.status(404), times=None)
    token = entry.data["token"]
    assert (await home.run_user_flow())["reason"] == "account_unknown"
    assert entry.data["token"] == token


async def test_user_flow_hubs_of_several_accounts_and_id_of_space_creates_entry(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.settings.update({"accounts_form": "all", "send_account_id": True})
    second = home.simulator.database.account("Second Organisation")
    home.simulator.hub("Boardroom").shared_with.add(second.id)
    home.simulator.database.add_space("Lobby", second.name)
    assert (await home.run_user_flow(second.name))["title"] == second.name
    assert home.simulator.hub("Boardroom").id in entry.runtime_data.coordinator.data


# Hubs in several accounts


async def test_reauth_hub_moved_to_chosen_account_aborts_and_changes_nothing(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.move_hub("Boardroom", "Second Organisation")
    assert (await reauth(home, entry, "Second Organisation"))["reason"] == "wrong_account"
    assert home.device("Boardroom") is not None
    assert home.simulator.hub("Elsewhere").id not in hub_ids(home, entry)


async def test_reconfigure_hub_listed_in_chosen_account_aborts_and_changes_nothing(
    home: Home, entry: ConfigEntry
) -> None:
    second = home.simulator.database.account("Second Organisation")
    home.simulator.hub("Boardroom").shared_with.add(second.id)
    step = await home.run_reconfigure_flow("Second Organisation")
    assert step["reason"] == "wrong_account"
    await home.poll(8)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.simulator.hub("Elsewhere").id not in hub_ids(home, entry)


@pytest.mark.parametrize("disabled", [False, True])
async def test_user_flow_hub_known_to_other_account_creates_entry(
    home: Home, entry: ConfigEntry, disabled: bool
) -> None:
    home.simulator.move_hub("Boardroom", "Second Organisation")
    if disabled:
        await home.hass.config_entries.async_set_disabled_by(
            entry.entry_id, ConfigEntryDisabler.USER
        )
    step = await home.run_user_flow("Second Organisation")
    assert step["type"] == "create_entry"


# An account that is linked already


async def test_user_flow_linked_account_with_revoked_tokens_renews_its_sign_in(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.revoke_access()
    await home.poll()
    assert home.flow_sources == ["reauth"]
    step = await home.run_user_flow()
    assert step["reason"] == "account_updated"
    assert step["description_placeholders"]["account"] == entry.title
    assert home.flow_sources == []
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    await home.poll(3)
    assert home.flow_sources == []


async def test_reauth_open_reconfigure_flow_is_replaced_by_reauth_flow(
    home: Home, entry: ConfigEntry
) -> None:
    await home.start_flow(entry_id=entry.entry_id)
    assert home.flow_sources == ["reconfigure"]
    home.simulator.revoke_access()
    await home.poll()
    assert home.flow_sources == ["reauth"]


async def test_revoked_access_while_reconfigure_is_being_completed_completes_it(
    home: Home, entry: ConfigEntry
) -> None:
    await home.advance_time(20)
    held = HeldResponse()
    home.simulator.add_fault("GET", ACCOUNTS_PATH, held.fault)
    reconfigure = asyncio.create_task(home.run_reconfigure_flow())
    await held.received.wait()
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(401))
    token_fault = Fault.status(400, text='{"error": "invalid_grant"}')
    home.simulator.add_fault("POST", TOKEN_PATH, token_fault)
    home.fire_time_changed(11)
    while home.state("sensor", "Boardroom", "active_port") != "unavailable":
        await asyncio.sleep(0)
    held.release.set()
    assert (await reconfigure)["reason"] == "reconfigure_successful"
    await home.poll()
    assert home.flow_sources == []
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_session_cookie_of_one_account_is_not_sent_for_another(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.simulator.settings.session_cookie = True
    # A host name, because aiohttp stores no cookies for IP addresses.
    async with HttpsProxy(home.simulator.port, tmp_path, monkeypatch) as proxy:
        await home.add_credentials()
        for account in ("Example Organisation", "Second Organisation"):
            step = await home.submit_form(await home.start_flow(), server=proxy.url, access="read")
            authorize_url = step["url"].replace(proxy.url, home.simulator.url)
            location = await home.simulator.approve(authorize_url, account)
            step = await home.follow_redirect(step, location)
            assert (step["type"], step["title"]) == ("create_entry", account)
        await home.poll(2)
        assert home.state("sensor", "Boardroom", "active_port") == "1"
        assert home.state("sensor", "Elsewhere", "active_port") == "none"
        for entry in home.hass.config_entries.async_entries("ochno"):
            await home.hass.config_entries.async_unload(entry.entry_id)
    assert [one.path for one in home.simulator.requests if "Cookie" in one.headers] == []


def hub_ids(home: Home, entry: ConfigEntry) -> set[str]:
    """Return the ids of the hubs for which the entry has devices."""
    devices = dr.async_entries_for_config_entry(dr.async_get(home.hass), entry.entry_id)
    ids = {id_ for device in devices for _, id_ in device.identifiers}
    return ids - {entry.entry_id}


async def reauth(home: Home, entry: ConfigEntry, account: str | None = None) -> Step:
    """Revoke the access and sign in again through the reauth flow; return its last step."""
    home.simulator.revoke_access()
    await home.poll()
    [flow] = home.hass.config_entries.flow.async_progress_by_handler("ochno")
    step = await home.submit_form({"flow_id": flow["flow_id"]})
    return await home.sign_in(step, account)
