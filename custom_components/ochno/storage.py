"""Reading and deletion of storage files."""

from collections.abc import Callable, Mapping
from typing import Any

from homeassistant.helpers.storage import Store

from .const import LOGGER


async def async_load[DataT: Mapping[str, Any]](
    store: Store[DataT], is_usable: Callable[[DataT], bool]
) -> DataT | None:
    """Load a storage file; None if it is missing or unusable.

    The setup must not depend on these files, so all errors are only logged.
    """
    try:
        data = await store.async_load()
        if data is None or is_usable(data):
            return data
        reason = "incomplete"
    except Exception as err:
        reason = repr(err)
    LOGGER.warning("Ignored the unusable storage file %s: %s", store.key, reason)
    return None


async def async_remove(store: Store[Any]) -> None:
    """Delete a storage file. An error is only logged."""
    try:
        await store.async_remove()
    except OSError as err:
        LOGGER.warning("Could not delete the storage file %s: %r", store.key, err)
