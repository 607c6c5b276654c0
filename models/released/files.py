"""A saved model, whichever it is: the two files' bytes and nothing else decide."""

from __future__ import annotations

from models.description import MAX_DESCRIPTION_BYTES, parse_description
from models.neural.tensors import MAX_BYTES
from models.neural.trained import FORMAT as NETWORK
from models.neural.trained import TrainedNetwork
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
    told = parse_description(description)
    return told.get("format") if isinstance(told, dict) else None
