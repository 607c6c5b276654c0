"""model.json: what the numbers of a saved model mean. Bounded JSON with a closed list of fields.

Reading it executes nothing; what the fields hold is for the model's own reader to check.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from privacy.errors import BadInput

MAX_DESCRIPTION_BYTES = 10 * 2**20
WHERE = "model.json"


def description_bytes(description: Mapping[str, Any]) -> bytes:
    """As it is saved: for people to read, keys in order."""
    text = json.dumps(description, indent=2, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8")


def parse_description(data: bytes) -> Any:
    """The JSON in `data`; raises BadInput for what is too long or no JSON."""
    if len(data) > MAX_DESCRIPTION_BYTES:
        raise BadInput(f"larger than {MAX_DESCRIPTION_BYTES} bytes", where=WHERE)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput("not JSON", where=WHERE) from None


def read_description(
    data: bytes, form: str, fields: Collection[str], digest: str, what: str
) -> dict[str, Any]:
    """The fields of a description of `form`, exactly those; `digest` names the field with the
    numbers' hash. Raises BadInput that says it is not the description of `what`."""
    told = parse_description(data)
    if not isinstance(told, dict) or set(told) != set(fields) or told["format"] != form:
        raise BadInput(f"not the description of {what}", where=WHERE)
    if not isinstance(told[digest], str) or not isinstance(told["card"], dict):
        raise BadInput(f"not the description of {what}", where=WHERE)
    return told
