"""A question as code: the client in Python, and the operations in R and with curl."""

from __future__ import annotations

import json

from coordinator.client.preview import Preview
from coordinator.client.question import Question
from coordinator.client.study import Study


def codes_of(question: Question, study: Study, preview: Preview) -> dict[str, str]:
    """By language. Python signs and runs; R and curl preview, as signing wants the key."""
    epsilon = f"{preview.epsilon:g}"
    ask = {
        "study": study.id,
        "analysis": question.analysis_json,
        "cohort": question.cohort,
        "epsilon": epsilon,
    }
    return {
        "Python": _python(question, study, epsilon),
        "R": _r(json.dumps(ask, ensure_ascii=False)),
        "curl": _curl(json.dumps(ask, ensure_ascii=False)),
    }


def _python(question: Question, study: Study, epsilon: str) -> str:
    return (
        "from coordinator.client import connect\n"
        "from models.aggregates.requests import parse_analysis\n\n"
        "net = connect()  # CAIRN_URL and CAIRN_TOKEN, or what `cairn login` left\n"
        f"study = net.study({study.id!r})\n"
        f"analysis = parse_analysis({question.analysis_json!r})\n"
        f"question = study.ask(analysis, {question.cohort!r})\n"
        f"print(question.preview(epsilon={epsilon}))\n"
        f"result = question.run(epsilon={epsilon})\n"
        "print(result.summary())\n"
    )


def _r(ask: str) -> str:
    quoted = ask.replace("\\", "\\\\").replace("'", "\\'")
    return (
        "library(httr2)\n\n"
        f"ask <- '{quoted}'\n"
        'answer <- request(Sys.getenv("CAIRN_URL")) |>\n'
        '  req_url_path_append("v1/previews") |>\n'
        '  req_auth_bearer_token(Sys.getenv("CAIRN_BEARER")) |>\n'
        '  req_body_raw(ask, "application/json") |>\n'
        "  req_perform() |>\n"
        "  resp_body_json()\n"
        "str(answer$preview)\n"
    )


def _curl(ask: str) -> str:
    quoted = ask.replace("'", "'\\''")
    return (
        'curl --fail-with-body "$CAIRN_URL/v1/previews" \\\n'
        '  --header "Authorization: Bearer $CAIRN_BEARER" \\\n'
        "  --header 'Content-Type: application/json' \\\n"
        f"  --data '{quoted}'\n"
    )
