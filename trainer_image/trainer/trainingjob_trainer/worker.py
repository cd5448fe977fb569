"""One training process, from its start to its exit code."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from trainingjob_agent.causes.reasons import GPU_REASONS
from trainingjob_agent.causes.termination import (
    EXIT_FAILURE,
    EXIT_SUCCESS,
    EXIT_TERMINATED,
    Termination,
    blame_gpus,
    describe_exception,
    write_termination_message,
)
from trainingjob_agent.companions import (
    FLUSH_AFTER_FAILURE_SECONDS,
    FLUSH_AFTER_SIGNAL_SECONDS,
    FLUSH_SECONDS,
)
from trainingjob_agent.contract import Contract
from trainingjob_agent.logs.output import Output
from trainingjob_agent.stacks.collecting import stacks_file
from trainingjob_agent.stacks.on_signal import write_stacks_when_asked

from trainingjob_trainer.checkpoint import Checkpointer, CheckpointStore, Holder, Lease
from trainingjob_trainer.distributed import Ranks, choose_device, limit_threads, side_group
from trainingjob_trainer.evaluation import evaluate
from trainingjob_trainer.loop import TrainingLoop
from trainingjob_trainer.model_logging import ModelNotLoggedError, TrainedModel
from trainingjob_trainer.options import RunOptions
from trainingjob_trainer.parallel import Parallel, parallel_by
from trainingjob_trainer.recorder import write_record
from trainingjob_trainer.results import example_of, models_of
from trainingjob_trainer.resume import Setup
from trainingjob_trainer.services import Services
from trainingjob_trainer.settings import read_settings
from trainingjob_trainer.stop import StopRequest
from trainingjob_trainer.surroundings import Hooks, Place, TrainingStoppedError
from trainingjob_trainer.task import DataRequest, find_task, load_task
from trainingjob_trainer.training import Training, prepare
from trainingjob_trainer.watchdog import Watchdog

EXIT_AGAIN = 203
"""All is trained, but what is left could not be done now: 128 + EX_TEMPFAIL, which is retried."""
_GRACE_SECONDS = 600.0
"""For a rank that leaves its last step, or its validation, later than another one."""

_logger = logging.getLogger(__name__)


class Worker:
    """Trains as one rank."""

    def __init__(
        self, options: RunOptions, contract: Contract, output: Output | None = None
    ) -> None:
        """Prepare; `output` is what this process prints, if the run is to have it."""
        self._options = options
        self._contract = contract
        self._services = Services(replace(contract, monitor_level=options.monitor_level), output)
        self._stop = StopRequest(
            self._abandon,
            options.stop_seconds,
            lambda: self._services.shorten(FLUSH_AFTER_SIGNAL_SECONDS),
        )
        self._loop: TrainingLoop | None = None
        self._watchdog = self._build_watchdog()

    def run(self) -> int:
        """Train, deliver everything, return the exit code. Call in the main thread."""
        code = self._run()
        if self._services.left_behind:
            # The interpreter would end under a thread in native code, which aborts the process.
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)
        return code

    def _run(self) -> int:
        self._stop.install()
        self._services.start()
        termination: Termination | None = None
        code = EXIT_TERMINATED
        try:
            self._train()
        except TrainingStoppedError:
            termination = self._signal_termination()
        except ModelNotLoggedError as error:
            code = EXIT_AGAIN if error.again else EXIT_FAILURE
            _logger.error("%s", error)  # noqa: TRY400 - the message says it all
            termination = self._failure_termination(error)
        except (Exception, SystemExit) as error:
            if self._stop.requested:
                _logger.info("stopped, with: %s", error)
                termination = self._signal_termination()
            else:
                _logger.exception("training failed")
                code = EXIT_FAILURE
                termination = self._failure_termination(error)
        self._stop.done()
        if termination is None:
            self._services.close(FLUSH_SECONDS)
            return EXIT_SUCCESS
        write_termination_message(termination, self._contract.termination_log)
        stopped = code == EXIT_TERMINATED
        self._services.close(FLUSH_AFTER_SIGNAL_SECONDS if stopped else FLUSH_AFTER_FAILURE_SECONDS)
        return code

    def _train(self) -> None:
        options, contract = self._options, self._contract
        device = choose_device(contract)
        threads = limit_threads(contract)
        settings = read_settings(options.task, find_task(options.task), options.settings)
        task = load_task(options.task, settings)
        _logger.info("task %s on %s with %d threads", task.name, device, threads)
        of_task = {f"settings.{name}": value for name, value in settings.items()}
        params = {**options.params(), **of_task, "world_size": contract.world_size}
        if contract.rank == 0:
            self._services.log_params({**params, "device": device.type})
            self._services.log_datasets(task.datasets())
        request = DataRequest(options.batch_size, contract.rank, contract.world_size, options.seed)
        parallel = parallel_by(options.parallel)
        with _joined(parallel, contract.world_size, device, options.collective_seconds):
            training = prepare(
                task,
                task.build_loaders(request),
                options,
                Place(device, contract.rank, contract.world_size),
                parallel,
                setup=Setup(
                    task.name,
                    params,
                    {"name": contract.name, "uid": contract.uid},
                    adopt=options.adopt_checkpoints,
                ),
                metrics=self._services.metrics,
                hooks=Hooks(
                    log_metrics=self._services.log_training_metrics,
                    samples_drawn=self._services.upload_samples,
                    trace_written=self._services.upload_trace,
                    stop_requested=lambda: self._stop.requested,
                    alive=self._watchdog.alive if self._watchdog else _nothing,
                ),
                directory=self._directory(),
                checkpointer=None if options.evaluate_only else self._checkpointer(),
            )
            models = self._run_training(training)
            # The other ranks wait: torchrun ends a job whose first rank takes five minutes longer.
            waiting = Ranks(options.model_seconds + _GRACE_SECONDS)
            problem = waiting.of_first(self._log_models(training, models) if models else None)
        if self._stop.requested:
            # Another attempt finds nothing left to train, and logs what is missing.
            raise TrainingStoppedError
        if problem is not None:
            raise problem

    def _run_training(self, training: Training) -> list[TrainedModel]:
        """Train, or only evaluate; return what is to be in MLflow, on rank 0."""
        if training.options.evaluate_only:
            with self._watchdog or nullcontext():
                evaluate(training, self._checkpoint_dir())
            return []
        self._loop = loop = TrainingLoop(training)
        try:
            with self._watchdog or nullcontext():
                loop.run()
            return models_of(loop, training.options.registered_model_name)
        finally:
            if training.checkpointer is not None:
                training.checkpointer.release()

    def _build_watchdog(self) -> Watchdog | None:
        """Prepare the watchdog of this node; every rank can be asked for its stacks."""
        if not self._options.hang_seconds:
            return None
        try:
            stacks_file()
            write_stacks_when_asked()
        except OSError as error:
            _logger.warning("no watchdog: there is no place for stacks: %s", error)
            return None
        if self._contract.local_rank:
            return None
        return Watchdog(
            self._options.hang_seconds,
            self._services,
            self._services.metrics,
            self._contract,
            lambda: self._position()[1] or 0,
        )

    def _log_models(
        self, training: Training, models: list[TrainedModel]
    ) -> ModelNotLoggedError | None:
        """Log the models; return what keeps one from being in MLflow."""
        try:
            self._services.log_models(
                models,
                example_of(training),
                lambda: self._stop.requested,
                checkpoints=self._checkpoint_dir(),
                within_seconds=self._options.model_seconds,
            )
        except ModelNotLoggedError as error:
            return error
        return None

    def _directory(self) -> Path:
        """Where the job's files go."""
        job = f"trainingjob-{self._contract.name}-{self._contract.attempt}"
        return (
            self._options.model_dir or self._checkpoint_dir() or Path(tempfile.gettempdir()) / job
        )

    def _checkpoint_dir(self) -> Path | None:
        return self._options.checkpoint_dir or self._contract.checkpoint_dir

    def _checkpointer(self) -> Checkpointer | None:
        directory = self._checkpoint_dir()
        if directory is None:
            _logger.info("no checkpoint directory: a training that is stopped starts anew")
            return None
        contract, directory = self._contract, directory / "checkpoints"
        holder = Holder(contract.name, contract.uid, contract.attempt)
        return Checkpointer(
            CheckpointStore(directory, self._options.checkpoint_keep),
            rank=contract.rank,
            world_size=contract.world_size,
            every_seconds=self._options.checkpoint_every_seconds,
            group=side_group(),
            lease=Lease(directory, holder) if contract.rank == 0 else None,
        )

    def _abandon(self) -> None:
        """Leave a step that does not end: say why, deliver what there is, exit."""
        write_termination_message(self._signal_termination(), self._contract.termination_log)
        self._services.close(FLUSH_AFTER_SIGNAL_SECONDS)
        os._exit(EXIT_TERMINATED)

    def _position(self) -> tuple[int | None, int | None]:
        """Epoch and step reached; None before the first."""
        if self._loop is None:
            return None, None
        return self._loop.progress.epoch or None, self._loop.progress.step or None

    def _failure_termination(self, error: BaseException) -> Termination:
        epoch, step = self._position()
        termination = describe_exception(error, rank=self._contract.rank, epoch=epoch, step=step)
        if termination.reason in GPU_REASONS:
            termination = blame_gpus(termination, self._services.gpu_faults())
        return termination

    def _signal_termination(self) -> Termination:
        epoch, step = self._position()
        return Termination(
            reason="Signal",
            message="stopped by SIGTERM",
            rank=self._contract.rank,
            epoch=epoch,
            step=step,
        )


@contextmanager
def _joined(
    parallel: Parallel, world_size: int, device: torch.device, seconds: float
) -> Iterator[None]:
    """Join the other ranks, and leave them at the end; after an error say what all did last."""
    parallel.set_up(world_size, device, seconds)
    try:
        yield
    except TrainingStoppedError:
        raise
    except Exception:
        write_record()
        raise
    finally:
        parallel.destroy()


def _nothing() -> None:
    """Nobody watches."""
