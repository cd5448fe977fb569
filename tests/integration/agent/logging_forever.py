"""Logs steps 1, 2, … to the job's run as fast as once a millisecond, until it is killed."""

import itertools
import time

from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.spool import Spool

if __name__ == "__main__":
    contract = Contract.from_environment()
    sender = Sender(RunConnection(contract), Spool.of(contract))
    sender.start()
    first = contract.attempt * 1_000_000
    for step in itertools.count(first + 1):
        sender.log_metrics({"train/loss": step / 7}, step=step, timestamp_milliseconds=step)
        time.sleep(0.001)
