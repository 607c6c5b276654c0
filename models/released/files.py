"""A saved model, whichever it is: the two files' bytes and nothing else decide."""

from __future__ import annotations

import json

from models.neural.tensors import MAX_BYTES
from models.neural.trained import FORMAT as NETWORK
from models.neural.trained import MAX_DESCRIPTION_BYTES, TrainedNetwork
from models.released.fitted import FORMAT as REGRESSION
from models.released.fitted import FittedRegression
from privacy.errors import BadInput

ReleasedModel = TrainedNetwork | FittedRegression
ENDING = ".safetensors"
MOST_BYTES = {ENDING: MAX_BYTES, ".json": MAX_DESCRIPTION_BYTES}


def model_from(numbers: bytes, description: bytes) -> ReleasedModel:
    """The model that these two files hold. Nothing in them is run, imported or opened.

    Raises BadInput for anything else.
    """
    match _format(description):
        case str(said) if said == REGRESSION:
            return FittedRegression.from_files(numbers, description)
        case str(said) if said == NETWORK:
            return TrainedNetwork.from_files(numbers, description)
        case _:
            raise BadInput("not the description of a model", where="model.json")


def _format(description: bytes) -> object:
    if len(description) > MAX_DESCRIPTION_BYTES:
        raise BadInput(f"larger than {MAX_DESCRIPTION_BYTES} bytes", where="model.json")
    try:
        told = json.loads(description)
    except (ValueError, RecursionError):
        raise BadInput("not JSON", where="model.json") from None
    return told.get("format") if isinstance(told, dict) else None
