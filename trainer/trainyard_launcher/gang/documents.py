"""What the launchers of a gang say to each other."""

from typing import Literal

from pydantic import Field

from trainyard_api.base import Count, Model
from trainyard_api.documents import Fault

Outcome = Literal["", "done", "stopped", "lost", "failed"]


class Word(Model):
    """What a node says to node 0."""

    uid: str = Field(description="The job's.")
    node: Count = Field(description="Its number.")
    launcher: str = Field(description="Made up by its launcher when it started: a replaced node has another.")
    restarts: Count = Field(0, description="Restarts after faults of the program when its pod was made.")
    running: Count = Field(0, description="Attempt whose ranks run here; 0: none.")
    ended: Count = Field(0, description="Last attempt that ended here; 0: none.")
    leader: str = Field("", description="Launcher of the node 0 that had begun it.")
    outcome: Outcome = Field("", description="How: done, stopped behind a checkpoint, lost a peer, or failed.")
    fault: Fault | None = Field(None, description="Why it failed.")
    rests: bool = Field(False, description="Whether a rank here does something long: no step is to be expected of any.")
    leaving: bool = Field(False, description="Whether this launcher is about to end.")


class Order(Model):
    """What node 0 answers."""

    leader: str = Field("", description="Made up by node 0's launcher when it started.")
    attempt: Count = Field(0, description="Attempt that is to run; 0: none now. Its leader gives no number twice.")
    stage: str = Field("", description="Stage that node 0 is in.")
    rank: Count = Field(0, description="Place of this node in the attempt.")
    nodes: Count = Field(0, description="Nodes of the attempt.")
    address: str = Field("", description="Where the ranks' store is.")
    port: Count = Field(0, description="Its port.")
    run: str = Field("", description="URI of the run's folder.")
    restarts: Count = Field(0, description="Restarts so far after faults of the program.")
    rests: bool = Field(False, description="Whether a rank of any node rests.")
    waiting: str = Field("", description="What node 0 waits for.")
    done: bool = Field(False, description="Whether nothing is left for this node to do.")
    replaced: bool = Field(False, description="Whether another launcher has taken this node's place.")
