"""Config flow: server, credentials and sign-in of an Ochno Operated account."""

from collections.abc import Mapping
from contextlib import suppress
import logging
from typing import Any, override

import probatio

from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntryState,
    ConfigFlowResult,
    OptionsFlowWithReload,
)
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.exceptions import (
    ImplementationUnavailableError,
    OAuth2TokenRequestBaseError,
    OAuth2TokenRequestReauthError,
)
from homeassistant.helpers.config_entry_oauth2_flow import (
    AbstractOAuth2FlowHandler,
    async_get_implementations,
)
from homeassistant.helpers.selector import (
    BooleanSelector,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)

from .account import SignedInAccount, async_identify_account
from .const import (
    CONF_ACCESS,
    CONF_ACCOUNT_ID,
    CONF_PUSH,
    CONF_SERVER,
    CONF_USER_ID,
    DOMAIN,
    LOGGER,
    PRODUCTION,
    STAGING,
    USER_GUIDE,
    Access,
)
from .data import OchnoConfigEntry
from .devices import async_hub_ids
from .oauth import (
    SCOPES,
    OchnoImplementation,
    Token,
    UnknownTokenResponseError,
    async_is_reachable,
    granted_scopes,
)
from .operated.budget import RequestBudget
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedResponseError,
    OperatedUnauthorizedError,
)
from .operated.server import base_url
from .session import async_create_client
from .tokens import async_save_new_tokens, token_lock


class OchnoConfigFlow(AbstractOAuth2FlowHandler, domain=DOMAIN):
    """Config flow of an account, with reauthentication and reconfiguration."""

    DOMAIN = DOMAIN

    flow_impl: OchnoImplementation
    _server: str
    _access: Access

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: OchnoConfigEntry) -> OchnoOptionsFlow:
        return OchnoOptionsFlow()

    @property
    @override
    def logger(self) -> logging.Logger:
        return LOGGER

    @property
    @override
    def extra_authorize_data(self) -> dict[str, str]:
        return {"scope": " ".join(SCOPES[self._access])}

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Select the server and the access."""
        # Checked first, because the frontend restarts the flow after the user added credentials.
        with suppress(ImplementationUnavailableError):
            if not await async_get_implementations(self.hass, DOMAIN):
                return self.async_abort(reason="missing_credentials")
        errors = {}
        if user_input is not None:
            if (server := base_url(user_input[CONF_SERVER])) is None:
                errors[CONF_SERVER] = "invalid_server"
            elif not await async_is_reachable(self.hass, server):
                errors[CONF_SERVER] = "server_unreachable"
            else:
                self._server = server
                self._access = Access(user_input[CONF_ACCESS])
                return await self.async_step_pick_implementation()
        elif self.source == SOURCE_RECONFIGURE:
            user_input = dict(self._get_reconfigure_entry().data)
        return self.async_show_form(
            step_id="user",
            data_schema=self.add_suggested_values_to_schema(_USER_SCHEMA, user_input),
            description_placeholders={"help_url": f"{USER_GUIDE}#sign-in-page-shows-an-error"},
            errors=errors,
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change the server, the access or the credentials."""
        return await self.async_step_user()

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Start the reauthentication."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Confirm the reauthentication."""
        entry = self._get_reauth_entry()
        if user_input is None:
            return self.async_show_form(
                step_id="reauth_confirm", description_placeholders={"account": entry.title}
            )
        self._server = entry.data[CONF_SERVER]
        self._access = Access(entry.data[CONF_ACCESS])
        # Otherwise the browser shows an error page, and the dialog waits for the sign-in.
        if not await async_is_reachable(self.hass, self._server):
            return self._abort_cannot_connect()
        return await self.async_step_pick_implementation(
            {"implementation": entry.data["auth_implementation"]}
        )

    @override
    async def async_generate_authorize_url(self) -> str:
        """Return the authorize URL. The vendor documents `%20` between scopes, not `+`."""
        self.flow_impl.set_server(self._server)
        url, _, query = (await super().async_generate_authorize_url()).partition("?")
        return f"{url}?{query.replace('+', '%20')}"

    @override
    async def async_step_authorize_rejected(self, data: None = None) -> ConfigFlowResult:
        """Abort with the reason why the sign-in failed."""
        match self.external_data["error"]:
            case "access_denied":
                return self.async_abort(reason="access_denied")
            case "invalid_scope":
                raise self._scope_missing()
        return await super().async_step_authorize_rejected(data)

    @override
    async def async_step_creation(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Exchange the authorization code. Each kind of error has its own abort reason."""
        try:
            token = await self.flow_impl.async_resolve_external_data(self.external_data)
        except OAuth2TokenRequestReauthError:
            return self.async_abort(
                reason="credentials_refused",
                description_placeholders={
                    "redirect_uri": self.external_data["state"]["redirect_uri"],
                    "server": self._server,
                },
            )
        except UnknownTokenResponseError:
            return self.async_abort(reason="answer_not_understood")
        except OAuth2TokenRequestBaseError:
            return self._abort_cannot_connect()
        return await self.async_oauth_create_entry(
            {"auth_implementation": self.flow_impl.domain, "token": token}
        )

    @override
    async def async_oauth_create_entry(self, data: dict[str, Any]) -> ConfigFlowResult:
        """Create or update the entry if its hubs can be read."""
        account = await self._async_identify_account(data["token"])
        data |= {
            CONF_SERVER: self._server,
            CONF_ACCESS: self._access.value,
            CONF_ACCOUNT_ID: account.account_id,
            CONF_USER_ID: account.user_id,
        }
        if self.source in (SOURCE_REAUTH, SOURCE_RECONFIGURE):
            entry = (
                self._get_reauth_entry()
                if self.source == SOURCE_REAUTH
                else self._get_reconfigure_entry()
            )
            match account.matches(entry, async_hub_ids(self.hass, entry)):
                case True:
                    return await self._async_update_entry(entry, data)
                case False:
                    return self.async_abort(
                        reason="wrong_account", description_placeholders={"account": entry.title}
                    )
            return self.async_abort(reason="account_unknown")
        entries = self._async_current_entries()
        matches = {
            entry: account.matches(entry, async_hub_ids(self.hass, entry)) for entry in entries
        }
        if (known := next((entry for entry in entries if matches[entry]), None)) is not None:
            await self._async_update_entry(known, data)
            return self.async_abort(
                reason="account_updated", description_placeholders={"account": known.title}
            )
        unique_id = account.unique_id({entry.unique_id for entry in entries})
        if unique_id is None or None in matches.values():
            return self.async_abort(reason="account_unknown")
        await self.async_set_unique_id(unique_id)
        return self.async_create_entry(title=account.title, data=data)

    async def _async_update_entry(
        self, entry: OchnoConfigEntry, data: dict[str, Any]
    ) -> ConfigFlowResult:
        """Update and reload an entry after a sign-in, and close its other dialogs."""
        if entry.state is ConfigEntryState.LOADED:
            # The subscription can only be ended with the previous tokens and server.
            await self.hass.config_entries.async_unload(entry.entry_id)
        if data[CONF_ACCOUNT_ID] is None:
            data[CONF_ACCOUNT_ID] = entry.data.get(CONF_ACCOUNT_ID)
        for flow in list(
            entry.async_get_active_flows(self.hass, {SOURCE_REAUTH, SOURCE_RECONFIGURE})
        ):
            if flow["flow_id"] != self.flow_id:
                self.hass.config_entries.flow.async_abort(flow["flow_id"])
        async with token_lock(self.hass, entry.entry_id):
            data["token"] = await async_save_new_tokens(self.hass, entry, data["token"])
            return self.async_update_reload_and_abort(entry, data=data)

    async def _async_identify_account(self, token: Token) -> SignedInAccount:
        """Return the account of a token. Raises AbortFlow if its hubs cannot be read."""

        async def token_source(rejected: str | None) -> str:
            if rejected is not None:
                raise OperatedUnauthorizedError
            access_token: str = token["access_token"]
            return access_token

        client = async_create_client(self.hass, self._server, token_source, RequestBudget())
        granted = granted_scopes(token)
        try:
            # A token response without scopes says nothing about the granted access.
            if (
                self._access is Access.CONTROL
                and "hubs:read" in granted
                and "hubs:write" not in granted
            ):
                raise OperatedForbiddenError
            return await async_identify_account(client, is_new=self.source == SOURCE_USER)
        except OperatedForbiddenError as err:
            raise self._scope_missing() from err
        except OperatedUnauthorizedError as err:
            raise AbortFlow("token_refused") from err
        except OperatedResponseError as err:
            raise AbortFlow("answer_not_understood") from err
        except OperatedError as err:
            raise AbortFlow("cannot_connect", {"server": self._server}) from err

    def _abort_cannot_connect(self) -> ConfigFlowResult:
        return self.async_abort(
            reason="cannot_connect", description_placeholders={"server": self._server}
        )

    def _scope_missing(self) -> AbortFlow:
        placeholders = {"scopes": ", ".join(SCOPES[self._access])}
        if self._access is Access.CONTROL:
            return AbortFlow("control_scope_missing", placeholders)
        return AbortFlow("scope_missing", placeholders)


class OchnoOptionsFlow(OptionsFlowWithReload):
    """Options flow."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Manage the options."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                _OPTIONS_SCHEMA, self.config_entry.options
            ),
        )


_OPTIONS_SCHEMA = probatio.Schema({probatio.Required(CONF_PUSH, default=True): BooleanSelector()})
_USER_SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_SERVER, default=PRODUCTION): SelectSelector(
            SelectSelectorConfig(options=[PRODUCTION, STAGING], custom_value=True)
        ),
        probatio.Required(CONF_ACCESS, default=Access.READ.value): SelectSelector(
            SelectSelectorConfig(
                options=[access.value for access in Access],
                mode=SelectSelectorMode.LIST,
                translation_key=CONF_ACCESS,
            )
        ),
    }
)
