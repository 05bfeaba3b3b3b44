"""Reading of storage files."""

from collections.abc import Mapping
from typing import Any

from homeassistant.helpers.storage import Store

from .const import LOGGER


async def async_load[DataT: Mapping[str, Any]](store: Store[DataT]) -> DataT | None:
    """Load a storage file; None if it is missing or unusable.

    These files only speed up a recovery, so the set-up continues without one.
    """
    try:
        data = await store.async_load()
    except Exception as err:
        LOGGER.warning("Ignored the unusable storage file %s: %r", store.key, err)
        return None
    return data if isinstance(data, Mapping) else None
