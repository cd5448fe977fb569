"""What is said of a task that cannot be found."""

import pytest
from trainingjob_trainer.task import TaskNotFoundError, load_task


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mnst",
            "no task 'mnst': use one of mnist, mnist-denoise, text, wine, or package.module:Class",
        ),
        ("json:Loader", "module 'json' has no class 'Loader'"),
        (
            "collections:OrderedDict",
            (
                "collections:OrderedDict is not a task: it lacks name, build_model, "
                "build_loaders, forward, loss, count, metrics, build_metrics, measure, "
                "build_optimizer, build_scheduler, example, draw_samples, datasets, tokens, "
                'flops_per_sample; where batches have an "image", inherit from '
                "trainingjob_trainer.tasks.images.ImageTask, which has it"
            ),
        ),
    ],
)
def test_a_task_that_is_none_is_explained(name: str, message: str) -> None:
    with pytest.raises(TaskNotFoundError) as raised:
        load_task(name)

    assert str(raised.value) == message
