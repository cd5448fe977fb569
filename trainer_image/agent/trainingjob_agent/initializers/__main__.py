"""`initialize NAME SOURCE DIRECTORY`: fetches one source, in an init container of the pod."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from trainingjob_agent.causes.advice import advised
from trainingjob_agent.causes.termination import Termination, write_termination_message
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.initializers.archives import ExtractedSource
from trainingjob_agent.initializers.directory_source import DirectorySource
from trainingjob_agent.initializers.errors import DataError
from trainingjob_agent.initializers.http_source import HttpSource
from trainingjob_agent.initializers.mlflow_source import MlflowSource
from trainingjob_agent.initializers.progress import PREPARING_TAG, Progress, Reporter
from trainingjob_agent.initializers.s3_source import S3Source
from trainingjob_agent.initializers.volume import Source, Volume
from trainingjob_agent.logs.masking import mask_text

_OTHERS_MAY_READ = 0o002
_FULL = (errno.ENOSPC, errno.EDQUOT)

_logger = logging.getLogger("initialize")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the directory, unless it is filled; returns the exit code of the container."""
    asked = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    # The training may run as another user of the same group, or of none.
    os.umask(_OTHERS_MAY_READ)
    try:
        _fill(asked, Contract.from_environment())
    except DataError as error:
        return _fail(asked.source, error.reason, str(error), error.exit_code)
    except OSError as error:
        reason = "DiskFull" if error.errno in _FULL else DataError.reason
        return _fail(asked.source, reason, str(error), DataError.exit_code)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="initialize")
    parser.add_argument("name")
    parser.add_argument("source")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--sha256", help="of the file of a web server, in hexadecimal")
    parser.add_argument("--extract", action="store_true", help="unpack the archives")
    parser.add_argument("--mounted", type=Path, help="where the claim of the source is")
    parser.add_argument(
        "--once", action="store_true", help="all nodes have the same volume: node 0 fills it"
    )
    return parser


def _fill(asked: argparse.Namespace, contract: Contract) -> None:
    identity = f"{asked.source} {asked.sha256 or ''}{' extracted' if asked.extract else ''}"
    volume = Volume(asked.directory, identity, contract.uid or contract.name)
    if asked.once and contract.node_rank > 0:
        volume.wait()
    if volume.filled:
        _logger.info("%s is there", _shown(asked.source))
        return
    _logger.info("fetching %s", _shown(asked.source))
    progress = Progress()
    reporter = Reporter(progress, _report_to_run(asked.name, contract))
    reporter.start()
    try:
        source = _source(asked)
        volume.fill(ExtractedSource(source) if asked.extract else source, progress)
    finally:
        reporter.end()
    _logger.info("fetched %s: %s", _shown(asked.source), progress.text())


def _source(asked: argparse.Namespace) -> Source:
    if asked.mounted is not None:
        return DirectorySource(asked.mounted)
    match asked.source.partition(":")[0]:
        case "http" | "https":
            return HttpSource(asked.source, asked.sha256)
        case "s3":
            return S3Source(asked.source)
        case "models" | "runs":
            return MlflowSource(asked.source)
        case scheme:
            raise DataError(f"no source has the scheme {scheme}")


def _report_to_run(name: str, contract: Contract) -> Callable[[str], None]:
    """What sets the tag from which the operator has the progress; one node is enough."""
    connection = RunConnection(contract)

    def report(text: str) -> None:
        if contract.node_rank > 0 or not contract.tracked:
            return
        try:
            client, run_id = connection.resolve()
            client.set_tag(run_id, PREPARING_TAG, f"{contract.attempt} {name}: {text}")
        except Exception as error:  # noqa: BLE001 - whatever MLflow's client raises, the data matters more
            _logger.info("the progress did not reach MLflow: %s", error)

    return report


def _shown(source: str) -> str:
    """The source without the part of a URL that may be a signature."""
    return mask_text(source.partition("?")[0], os.environ)


def _fail(source: str, reason: str, message: str, code: int) -> int:
    text = mask_text(f"{_shown(source)}: {message}", os.environ)
    _logger.error("%s: %s", reason, text)
    termination = Termination(reason, advised(reason, text))
    write_termination_message(termination, Contract.termination_log_of(os.environ))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
