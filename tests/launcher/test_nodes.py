"""A job over several nodes trains as on one, and says throughout how it goes."""

from pathlib import Path

import pytest
from safetensors.numpy import load_file

from support.nodes import nodes_of, recipe, script

WEIGHTS = Path("trained", "weights.safetensors")


@pytest.mark.parametrize("count", [2, 3])
def test_nodes_train_the_model_that_one_trains(count: int, tmp_path: Path) -> None:
    weights = []
    for nodes_count in (1, count):
        folder = tmp_path / str(nodes_count)
        folder.mkdir()
        with nodes_of(folder, nodes_count, recipe=recipe(folder, epochs=3)) as nodes:
            started = [nodes.start(index) for index in range(nodes_count)]
            assert [node.ended() for node in started] == [0] * nodes_count
            first, others = started[0].termination(), [node.termination() for node in started[1:]]
            assert first.model is not None
            assert first.model.metrics["accuracy"] > 0.5
            assert first.progress is not None
            assert first.progress.step == first.progress.steps
            assert first.fault is None
            assert all(other.model is None and other.stage == "train" for other in others)
            assert "[rank 0]" not in "".join(node.log() for node in started[1:])
            weights.append(load_file(nodes.run_folder / WEIGHTS))
            assert nodes.attempts() == 3  # prepare, train, publish: no other
            late = nodes.start(nodes_count - 1)
            assert late.ended() == 0, "a pod that is made anew after the end has nothing to do"
    for name, one in weights[0].items():
        assert weights[1][name] == pytest.approx(one, rel=1e-3, abs=1e-5)


def test_a_job_that_cannot_be_read_is_told_by_the_termination_message(tmp_path: Path) -> None:
    with nodes_of(tmp_path, 2, script=script(tmp_path, "")) as nodes:
        (tmp_path / "job.json").write_text('{"name": "job"}')
        node = nodes.start(1)
        assert node.ended() == 2
        fault = node.termination().fault
        assert fault is not None
        assert fault.cause == "JobUnreadable"


def test_a_fault_that_nothing_cures_on_another_node_ends_the_job_by_its_name(tmp_path: Path) -> None:
    program = """
        import os, time
        if os.environ["RANK"] == "1":
            import a_module_that_is_not_there
        time.sleep(600)
    """
    with nodes_of(tmp_path, 2, script=script(tmp_path, program), recovery={"maxRestarts": 3}) as nodes:
        started = [nodes.start(0), nodes.start(1)]
        assert [node.ended() for node in started] == [2, 2]
        for node in started:
            fault = node.termination().fault
            assert fault is not None
            assert fault.rank == 1
            assert "a_module_that_is_not_there" in fault.message
        assert nodes.attempts() == 1
