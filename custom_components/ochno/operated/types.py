"""Types of the client."""

type JSON = bool | int | float | str | list[JSON] | dict[str, JSON] | None
