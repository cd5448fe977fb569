"""Makes the calls of a bundle, when the server is back."""

import json
import logging
import shutil
from typing import TYPE_CHECKING, Any

from trainingjob_agent.delivery.bundles import (
    CREATE_RUN,
    RUN_STAND_IN,
    STAND_IN_FIELD,
    Bundle,
    Bundles,
    Call,
)
from trainingjob_agent.delivery.outage import NotYetError, is_refusal
from trainingjob_agent.delivery.rest import credentials_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_logger = logging.getLogger(__name__)

_DESCRIPTION = "MLmodel"
_CREATE_MODEL = ("POST", "/api/2.0/mlflow/logged-models")
_CREATED = {_CREATE_MODEL: ("model", "model_id"), CREATE_RUN: ("run", "run_id")}
"""What each of the calls that create something returns, and what its id is called there."""


def make_calls(
    client: "MlflowClient", run_id: str, bundle: Bundle, bundles: Bundles, pending_id: str
) -> None:
    """Make the remaining calls, and upload the model's files before its final status is set.

    Args:
        client: of the job's server.
        run_id: the job's run.
        bundle: what to send; what of it has been sent is not sent again.
        bundles: knows the ids of models and runs that were created late.
        pending_id: what stands for `run_id` in calls from before the run was known.

    Raises:
        MlflowException, HTTPError, NotYetError: not all is done; a repeat goes on.
    """
    for file in bundle.calls():
        text = bundles.with_ids(file.read_text(encoding="utf-8").replace(pending_id, run_id))
        call = Call(*json.loads(text))
        try:
            _make(client, run_id, bundle, bundles, call)
        except Exception as error:
            if not bundle.is_journal or not is_refusal(error):
                raise
            # Those behind it are about other runs, too.
            _logger.exception("MLflow refuses a call of %s: it is left out", call.endpoint)
            if (call.method, call.endpoint) == CREATE_RUN:
                bundles.note(call.body[STAND_IN_FIELD], "", "")
        file.unlink()
    _upload(client, bundle, bundles)
    bundles.done_with(bundle)


def _make(
    client: "MlflowClient", run_id: str, bundle: Bundle, bundles: Bundles, call: Call
) -> None:
    created = _CREATED.get((call.method, call.endpoint))
    stand_in = call.body.get(STAND_IN_FIELD, bundle.name) if created else ""
    body = {key: value for key, value in call.body.items() if key != STAND_IN_FIELD}
    if RUN_STAND_IN in json.dumps(body):
        raise NotYetError("a run that another process of the script has opened is still to be made")
    if _is_end(call):
        _upload(client, bundle, bundles)
    if created is None:
        _call(client.tracking_uri, call)
        return
    if not body.get("experiment_id"):
        body["experiment_id"] = client.get_run(run_id).info.experiment_id
    kind, its_id = created
    info = _call(client.tracking_uri, call._replace(body=body))[kind]["info"]
    bundles.note(stand_in, info[its_id], info["artifact_uri"])


def _is_end(call: Call) -> bool:
    """Whether this sets the status of a model, after which it is one that can be used."""
    return call.method == "PATCH" and call.endpoint.count("/") == _CREATE_MODEL[1].count("/") + 1


def _call(uri: str, call: Call) -> Any:
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    response = http_request(  # type: ignore[no-untyped-call]  # MLflow's
        credentials_of(uri),
        call.endpoint,
        call.method,
        raise_on_status=False,
        json=call.body,
    )
    verify_rest_response(response, call.endpoint)
    return response.json()


def _upload(client: "MlflowClient", bundle: Bundle, bundles: Bundles) -> None:
    if not bundle.files.exists():
        return
    description = bundle.files / _DESCRIPTION
    if description.exists():
        text = description.read_text(encoding="utf-8")
        description.write_text(bundles.with_ids(text), encoding="utf-8")
    if bundle.run_id is None:
        client.log_model_artifacts(bundles.with_ids(bundle.name), str(bundle.files))
    else:
        run_id = bundles.with_ids(bundle.run_id)
        if run_id.startswith(RUN_STAND_IN):
            raise NotYetError("the run of the file is still to be made")
        client.log_artifacts(run_id, str(bundle.files))
    shutil.rmtree(bundle.files)
