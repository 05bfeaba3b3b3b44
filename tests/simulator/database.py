"""In-memory database of users, accounts, spaces and hubs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .hub import HubListener, JsonObject, SimHub
from .settings import Settings


@dataclass(frozen=True, kw_only=True)
class User:
    """A user, who can sign in and give access to any account."""

    sub: str
    email: str
    name: str
    password: str


@dataclass
class Account:
    """An organisation, which owns spaces and hubs."""

    id: str
    name: str
    groups: list[JsonObject] = field(default_factory=list)

    def as_json(self) -> JsonObject:
        """Return the JSON object of the REST API."""
        return {"id": self.id, "name": self.name}


@dataclass
class Space:
    """A room of an account."""

    id: str
    name: str
    account_id: str

    def as_json(self, settings: Settings) -> JsonObject:
        """Return the JSON object of the REST API."""
        account = {"accountId": self.account_id} if settings.send_account_id else {}
        return {"id": self.id, "name": self.name, **account}


class Database:
    """Users by e-mail address; accounts, spaces and hubs by id, in the order of creation.

    The ids and serial numbers are fictitious and the same in every run. `version` increases
    with every change.
    """

    def __init__(self, *, hubs: int = 0) -> None:
        """Add the demo data and this number of four-port hubs, each in its own space."""
        self.version = 0
        self.listeners: list[HubListener] = []
        self.users: dict[str, User] = {}
        self.accounts: dict[str, Account] = {}
        self.spaces: dict[str, Space] = {}
        self.hubs: dict[str, SimHub] = {}
        self._id_count = 0
        self._add_demo_data()
        for number in range(1, hubs + 1):
            self.add_hub(f"Room {number:04}")

    def account(self, name_or_id: str | None = None) -> Account:
        """Return the account, by default the first. Raise KeyError if it does not exist."""
        for account in self.accounts.values():
            if name_or_id in (None, account.id, account.name):
                return account
        raise KeyError(name_or_id)

    def hub(self, name_or_id: str) -> SimHub:
        """Return the hub. Raise KeyError if it does not exist."""
        if hub := self.hubs.get(name_or_id):
            return hub
        for hub in self.hubs.values():
            if hub.name == name_or_id:
                return hub
        raise KeyError(name_or_id)

    def hubs_in_account(self, account_id: str) -> list[SimHub]:
        """Return the hubs of an account, and the hubs that are shared with it."""
        return [
            hub
            for hub in self.hubs.values()
            if account_id == hub.account_id or account_id in hub.shared_with
        ]

    def spaces_in_account(self, account_id: str) -> list[Space]:
        """Return the spaces of an account."""
        return [space for space in self.spaces.values() if space.account_id == account_id]

    def add_account(self, name: str) -> Account:
        """Add an account with one group and without spaces and hubs."""
        account = Account(self._new_id(), name)
        account.groups.append({"id": self._new_id(), "name": "Everybody"})
        self.accounts[account.id] = account
        self.version += 1
        return account

    def add_space(self, name: str, account: str | None = None) -> Space:
        """Add a space without a hub."""
        space = Space(self._new_id(), name, self.account(account).id)
        self.spaces[space.id] = space
        self.version += 1
        return space

    def add_hub(
        self,
        name: str,
        *,
        account: str | None = None,
        space: str | None = None,
        product: str = "O-PC-4",
        ports: int = 4,
        connected: Iterable[int] = (),
        active: int = 0,
        mtr_port: int = 0,
        online: bool = True,
        config: Mapping[str, object] | None = None,
    ) -> SimHub:
        """Add a hub to the space with this id, by default to a new space with the hub's name."""
        account_id = self.account(account).id
        space_id = space or self.add_space(name, account_id).id
        number = self._id_count
        hub = SimHub(
            id=self._new_id(),
            name=name,
            serial=f"O5B1A{number:09X}",
            account_id=account_id,
            space_ids=[space_id],
            product=product,
            ports=ports,
            connected=connected,
            active=active,
            mtr_port=mtr_port,
            online=online,
            config=config,
            ip=f"10.20.{number // 250 % 250}.{number % 250 + 1}",
            listener=self._notify_listeners,
        )
        self.hubs[hub.id] = hub
        self.version += 1
        return hub

    def remove_hub(self, name_or_id: str) -> None:
        """Remove a hub and its empty spaces. Raise KeyError if the hub does not exist."""
        removed = self.hubs.pop(self.hub(name_or_id).id)
        used_space_ids = {space_id for hub in self.hubs.values() for space_id in hub.space_ids}
        for space_id in removed.space_ids:
            if space_id not in used_space_ids:
                self.spaces.pop(space_id, None)
        self.version += 1

    def move_hub(self, name_or_id: str, account: str) -> None:
        """Move a hub and its spaces to another account."""
        hub = self.hub(name_or_id)
        hub.account_id = self.account(account).id
        for space_id in self.spaces.keys() & set(hub.space_ids):
            self.spaces[space_id].account_id = hub.account_id
        self.version += 1

    def _add_demo_data(self) -> None:
        anna = User(
            sub="5f3e9a70c1d24b6688aa0001",
            email="anna@example.com",
            name="Anna Andersson",
            password="demo",
        )
        self.users[anna.email] = anna
        self.add_account("Example Organisation")
        second = self.add_account("Second Organisation").id
        every = {"autoswitchconnect": "every"}
        self.add_hub("Boardroom", connected=[1], active=1, mtr_port=1, config=every)
        self.add_hub("Focus room", product="O-PC-3")
        self.add_hub("Workshop", ports=10)
        self.add_hub("Reception", online=False)
        self.add_hub("Elsewhere", account=second)

    def add_building(self) -> None:
        """Add more rooms to the first account, one of them with three hubs."""
        self.add_hub("Library", product="O-PC-3")
        self.add_hub("Studio", connected=[2, 3], active=2)
        training = self.add_space("Training room").id
        self.add_hub("Training room front", space=training, connected=[1], active=1)
        self.add_hub("Training room left", space=training)
        self.add_hub("Training room right", space=training)

    def _new_id(self) -> str:
        self._id_count += 1
        return f"66a1b2c3d4e5f60{self._id_count:09x}"

    def _notify_listeners(self, hub: SimHub, event: str | None, changes: JsonObject) -> None:
        self.version += 1
        for listener in self.listeners:
            listener(hub, event, changes)
