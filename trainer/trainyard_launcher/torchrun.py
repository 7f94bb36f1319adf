"""How torchrun is called, and what its log says about the end."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainyard_api.documents import ResolvedJob

RENDEZVOUS_PORT = 29400
_CLOSING = "closing signal SIGTERM"
_END = re.compile(r"rank\s*: (\d+) \(local_rank.*?exitcode\s*: (-?\d+) \(pid: (\d+)\)", re.DOTALL)


@dataclass(frozen=True)
class RankEnd:
    """How a rank ended, as torchrun saw it: the exit code, or minus the signal's number."""

    rank: int
    exit_code: int
    pid: int


def torchrun_command(job: ResolvedJob, program: Sequence[str], environ: Mapping[str, str] = os.environ) -> list[str]:
    """The command that runs `program` as the ranks of this node.

    On several nodes, TRAINYARD_NODE_INDEX is this node's number and TRAINYARD_RENDEZVOUS_HOST the name of node 0,
    which is the host by that number and not by whoever resolves the name to itself.
    """
    return [
        *(sys.executable, "-P", "-m", "torch.distributed.run"),
        f"--nproc-per-node={job.processes_per_node}",
        "--max-restarts=0",  # restarts are the launcher's: it tells causes apart and counts them
        "--monitor-interval=0.1",
        "--rdzv-backend=c10d",
        f"--rdzv-id={job.uid}",
        *(_many_nodes(job, environ) if job.nodes > 1 else _one_node()),
        *("-m", "trainyard_launcher.rank", *program),
    ]


def _one_node() -> list[str]:
    # Any free port; the loopback address, because a laptop's own name may not resolve.
    return ["--nnodes=1", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]


def _many_nodes(job: ResolvedJob, environ: Mapping[str, str]) -> list[str]:
    host = environ["TRAINYARD_RENDEZVOUS_HOST"]
    is_host = environ["TRAINYARD_NODE_INDEX"] == "0"
    # Pods come when they're scheduled: joining has no bound of its own (a year), the last call is short.
    conf = f"is_host={str(is_host).lower()},join_timeout=31536000,last_call_timeout=3"
    return [f"--nnodes={job.nodes}", f"--rdzv-endpoint={host}:{RENDEZVOUS_PORT}", f"--rdzv-conf={conf}"]


def failure_noticed(log: str) -> bool:
    """Whether torchrun has seen a rank fail, and has begun to end the others."""
    return _CLOSING in log


def failures(log: str) -> list[RankEnd]:
    """The ranks that failed, by the summary at the end of torchrun's log, the first first.

    Torchrun looks ten times a second, and counts in whole seconds: of ranks that fail together, it names the lowest.
    """
    others, summary, root = log.rpartition("Root Cause")
    if not summary:
        return []
    return [RankEnd(*map(int, found)) for found in (*_END.findall(root), *_END.findall(others))]
