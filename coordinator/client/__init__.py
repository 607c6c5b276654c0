"""Ask the network from Python.

    from coordinator.client import connect

    net = connect(url, token=token)          # or CAIRN_URL, CAIRN_TOKEN, CAIRN_CA
    study = net.study("als-progression")
    question = study.where("condition == 'als' and age >= 18").count(by="treatment")
    print(question.preview(epsilon=0.3))     # cost and expected error; spends nothing
    result = question.run(epsilon=0.3)
    result.table                             # a DataFrame; every number with its error

`study.mock()` and `connect("mock:DIR")` answer the same calls from made-up members.
"""

from coordinator.client.errors import (
    BadInput,
    BudgetExceeded,
    NodeOffline,
    NotSignedIn,
    Refused,
    TimedOut,
    Unreachable,
)
from coordinator.client.job import Job, Progress, Stopped
from coordinator.client.model import load_model
from coordinator.client.network import Network, connect
from coordinator.client.plan import Plan
from coordinator.client.preview import Preview
from coordinator.client.question import Question
from coordinator.client.receipts import Receipt
from coordinator.client.result import Result
from coordinator.client.study import Selection, Study

__all__ = [
    "BadInput",
    "BudgetExceeded",
    "Job",
    "Network",
    "NodeOffline",
    "NotSignedIn",
    "Plan",
    "Preview",
    "Progress",
    "Question",
    "Receipt",
    "Refused",
    "Result",
    "Selection",
    "Stopped",
    "Study",
    "TimedOut",
    "Unreachable",
    "connect",
    "load_model",
]
