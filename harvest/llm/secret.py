"""A key that shows itself to nobody but the endpoint it is for."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from harvest.errors import InputError

__all__ = ["HIDDEN", "Secret"]

#: What stands where a key stood.
HIDDEN: Final = "[key]"
#: Shorter "keys" are place-holders such as "none" or "EMPTY", which local servers are given, and
#: removing them from texts would damage the texts.
SHORTEST: Final = 8


class Secret:
    """A key; printing, formatting or comparing it shows nothing of it.

    Raises:
        InputError: the key cannot be sent in an HTTP header.

    >>> key = Secret("sk-0123456789")
    >>> key, str(key), f"{key}"
    (Secret([key]), '[key]', '[key]')
    >>> key.hide("no such key: sk-0123456789")
    'no such key: [key]'
    """

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str) -> None:
        value = value.strip()
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise InputError(
                "the key has blanks, line breaks or letters that no key has: copy it again "
                "(OPENAI_API_KEY)"
            )
        self._value = value
        # As it stands, as JSON writes it (with and without \/), and as URLs write it.
        in_json = json.dumps(value)[1:-1]
        forms = {value, in_json, in_json.replace("/", "\\/"), quote(value, safe="")}
        self._forms = sorted(forms, key=len, reverse=True) if len(value) >= SHORTEST else []

    def reveal(self) -> str:
        """Return the key, for the request's header only."""
        return self._value

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a key is not to be copied into files")
