"""Take the pictures in docs/images: of runs in the MLflow UI, the demo's and those of e2e tests."""

import asyncio
import os
import sys
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run

from demo import cluster
from demo.browser import open_page

IMAGES = cluster.ROOT / "docs" / "images"
WIDTH, HEIGHT = 1500, 1150
TIMEOUT_SECONDS = 90
# The page is built bit by bit: complete when nothing has been added for this long.
QUIET_SECONDS = 4
COMPLETE = f"""(() => {{
    const size = document.querySelectorAll("*").length;
    if (window.sizeSeen !== size) {{
        window.sizeSeen = size;
        window.sizeSince = Date.now();
    }}
    return Date.now() - window.sizeSince > {QUIET_SECONDS * 1000};
}})()"""
CHARTS = "document.querySelectorAll('.plot-container .trace').length > 0"
GPU_CHARTS = (
    "gpu_0_(utilization|memory_usage_mega|power_usage_w|temperature|sm_clock|throttled_power)"
)
# Types into the box above the charts, once it is there; React hears of it only by the event.
ONLY_GPU_CHARTS = f"""(() => {{
    const box = document.querySelector("input[placeholder*='Search metric']");
    if (!box) return false;
    if (box.value !== "{GPU_CHARTS}") {{
        const setter = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
        setter.call(box, "{GPU_CHARTS}");
        box.dispatchEvent(new Event("input", {{bubbles: true}}));
    }}
    return true;
}})()"""
DEMO = f"tags.`trainingjob.namespace` = '{cluster.NAMESPACE}'"


@dataclass(frozen=True)
class Picture:
    """A tab of a run's page, and what it must show; `runs` is MLflow's filter, `made_by` a hint."""

    file: str
    tab: str
    shown: str
    runs: str = DEMO
    made_by: str = "make demo"


PICTURES = (
    Picture("mlflow-run.png", "", "document.body.innerText.includes('Finished')"),
    Picture("mlflow-system-metrics.png", "/system-metrics", CHARTS),
    Picture(
        "mlflow-gpu-metrics.png",
        "/system-metrics",
        f"{ONLY_GPU_CHARTS} && {CHARTS}",
        runs="tags.`trainingjob.name` = 'gpu'",
        made_by="make e2e",
    ),
    Picture(
        "mlflow-samples-of-a-text.png",
        "/artifacts/samples/epoch_001.txt",
        "document.body.innerText.includes('>>>')",
        runs="tags.`trainingjob.name` = 'text'",
        made_by="make e2e",
    ),
    Picture(
        "mlflow-samples-of-a-table.png",
        "/artifacts/samples/epoch_020.csv",
        "document.body.innerText.includes('confidence')",
        runs="tags.`trainingjob.name` = 'wine'",
        made_by="make e2e",
    ),
)


def newest_run(client: MlflowClient, picture: Picture) -> Run:
    """Return the finished run that started last; raise LookupError if there is none."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(
        experiments,
        f"{picture.runs} and status = 'FINISHED'",
        max_results=1,
        order_by=["start_time DESC"],
    )
    if not runs:
        raise LookupError(f"no run for {picture.file} in MLflow: `{picture.made_by}` makes one")
    return runs[0]


async def photograph(url: str, shown: str) -> bytes:
    """Return the page as PNG once the JavaScript expression says that all is shown."""
    async with open_page(url, WIDTH, HEIGHT) as page:
        await page.wait_for(f"{shown} && {COMPLETE}", TIMEOUT_SECONDS)
        return await page.screenshot()


def main() -> int:
    """Take the pictures, or those that are named, and return the exit code."""
    cluster.adopt_environment()
    uri = os.environ["MLFLOW_TRACKING_URI"]
    named = sys.argv[1:]
    for picture in PICTURES:
        if named and picture.file not in named:
            continue
        run = newest_run(MlflowClient(uri), picture).info
        page = f"experiments/{run.experiment_id}/runs/{run.run_id}{picture.tab}"
        url = f"{uri}/#/{page}?workflowType=machine_learning"
        target = IMAGES / picture.file
        target.write_bytes(asyncio.run(photograph(url, picture.shown)))
        print(f"wrote {target.relative_to(cluster.ROOT)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
