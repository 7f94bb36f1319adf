"""How torchrun is called, and what its log says about the end."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from trainyard_api.documents import ResolvedJob

_CLOSING = "closing signal SIGTERM"
_END = re.compile(r"rank\s*: (\d+) \(local_rank.*?exitcode\s*: (-?\d+) \(pid: (\d+)\)", re.DOTALL)


@dataclass(frozen=True)
class RankEnd:
    """How a rank ended, as torchrun saw it: the exit code, or minus the signal's number."""

    rank: int
    exit_code: int
    pid: int


@dataclass(frozen=True)
class Place:
    """This node's place in one attempt of several nodes: its rank among `nodes`, and where their store is."""

    rank: int
    nodes: int
    address: str
    port: int


def torchrun_command(job: ResolvedJob, program: Sequence[str], attempt: int, place: Place | None = None) -> list[str]:
    """The command that runs `program` as the ranks of this node: the only one, or the one in `place`.

    Node 0's agent holds the store of one attempt, on a port of its own; the attempt is in its id too. So no agent or
    rank of an earlier attempt can be taken for one of this, and a lost store is lost with its attempt.
    """
    return [
        *(sys.executable, "-P", "-m", "torch.distributed.run"),
        f"--nproc-per-node={job.processes_per_node}",
        "--max-restarts=0",  # restarts are the launcher's: it tells causes apart and counts them
        "--monitor-interval=0.1",
        f"--rdzv-id={job.uid}-{attempt}",
        *(_in_place(place) if place else _one_node()),
        *("-m", "trainyard_launcher.rank", *program),
    ]


def _one_node() -> list[str]:
    # Any free port; the loopback address, because a laptop's own name may not resolve.
    return ["--rdzv-backend=c10d", "--nnodes=1", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]


def _in_place(place: Place) -> list[str]:
    # The launchers have agreed on who takes part, so ranks go by the nodes' numbers: rank 0 is on node 0. An agent
    # waits for the others as long as its launcher lets it (a year).
    address = f"[{place.address}]" if ":" in place.address else place.address
    return [
        "--rdzv-backend=static",
        f"--nnodes={place.nodes}",
        f"--node-rank={place.rank}",
        f"--rdzv-endpoint={address}:{place.port}",
        "--rdzv-conf=timeout=31536000",
    ]


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
