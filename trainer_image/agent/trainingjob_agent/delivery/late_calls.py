"""Makes the calls of a bundle, when the server is back."""

import json
import shutil
from typing import TYPE_CHECKING, Any

from trainingjob_agent.delivery.bundles import Bundle, Bundles, Call
from trainingjob_agent.delivery.rest import credentials_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DESCRIPTION = "MLmodel"
_CREATE = ("POST", "/api/2.0/mlflow/logged-models")


def make_calls(
    client: "MlflowClient", run_id: str, bundle: Bundle, bundles: Bundles, pending_id: str
) -> None:
    """Make the remaining calls, and upload the model's files before its final status is set.

    Args:
        client: of the job's server.
        run_id: the job's run.
        bundle: what to send; what of it has been sent is not sent again.
        bundles: knows the ids of models that were created late.
        pending_id: what stands for `run_id` in calls from before the run was known.

    Raises:
        MlflowException, HTTPError: not all is done; a repeat goes on.
    """
    for file in bundle.calls():
        text = file.read_text(encoding="utf-8").replace(pending_id, run_id)
        call = Call(*json.loads(bundles.with_ids(text)))
        if _is_end(call):
            _upload(client, bundle, bundles)
        if (call.method, call.endpoint) == _CREATE:
            if not call.body.get("experiment_id"):
                call.body["experiment_id"] = client.get_run(run_id).info.experiment_id
            info = _call(client.tracking_uri, call)["model"]["info"]
            bundles.note_model(bundle.name, info["model_id"], info["artifact_uri"])
        else:
            _call(client.tracking_uri, call)
        file.unlink()
    _upload(client, bundle, bundles)
    bundle.delete()


def _is_end(call: Call) -> bool:
    """Whether this sets the status of a model, after which it is one that can be used."""
    return call.method == "PATCH" and call.endpoint.count("/") == _CREATE[1].count("/") + 1


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
    client.log_model_artifacts(bundles.with_ids(bundle.name), str(bundle.files))
    shutil.rmtree(bundle.files)
