"""One job: what it does, how well it learns, where its time goes."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import Query, board, choice, lines, number

_JOB = '{namespace="$namespace", job_name="$job_name"}'


def _latest(metric: str, by: str = "") -> str:
    """The metric once: every replica of the operator, or every node of the job, tells the same."""
    return f"max by ({by}) (trainyard_{metric}{_JOB})" if by else f"max(trainyard_{metric}{_JOB})"


def _quantile(quantile: float, metric: str, by: str) -> str:
    rate = f"sum by (le, {by}) (rate(trainyard_{metric}_bucket{_JOB}[$__rate_interval]))"
    return f"histogram_quantile({quantile}, {rate})"


def job() -> dashboard.Dashboard:
    """The dashboard."""
    built = board("trainyard-job", "Trainyard: one job", "What one TrainingJob does, and where its time goes.")
    built = built.with_variable(
        choice("namespace", "Namespace", "label_values(trainyard_operator_job_info, namespace)")
    )
    of_namespace = 'label_values(trainyard_operator_job_info{namespace="$namespace"}, job_name)'
    built = built.with_variable(choice("job_name", "Job", of_namespace))
    return _time(_learning(_state(built)))


def _state(built: dashboard.Dashboard) -> dashboard.Dashboard:
    info = _latest("operator_job_info", "phase, reason")
    step, steps = _latest("operator_job_progress_step"), _latest("operator_job_progress_steps")
    ready, used = Query(_latest("operator_job_nodes_ready"), "ready"), Query(_latest("operator_job_nodes"), "in use")
    age = f"time() - {_latest('last_checkpoint_timestamp_seconds')}"
    return (
        built.with_row(dashboard.Row("State"))
        .with_panel(number("State", "none", Query(info, "{{phase}}: {{reason}}"), names=True))
        .with_panel(number("Nodes", "none", ready, used))
        .with_panel(number("Progress", "percentunit", Query(f"{step} / ({steps} > 0)", "steps done")))
        .with_panel(number("Loss", "none", Query(_latest("operator_job_loss"), "loss")))
        .with_panel(number("Restarts", "none", Query(_latest("operator_job_restarts", "cause"), "{{cause}}")))
        .with_panel(number("Since the last checkpoint", "s", Query(age, "age"), description="What a fault would cost."))
    )


def _learning(built: dashboard.Dashboard) -> dashboard.Dashboard:
    samples = f"max(rate(trainyard_samples_total{_JOB}[$__rate_interval]))"
    own = "Metrics that the program logs itself, by the SDK."
    return (
        built.with_row(dashboard.Row("Learning"))
        .with_panel(lines("Loss", "none", Query(_latest("training_loss", "node"), "node {{node}}")))
        .with_panel(lines("Norm of the gradient", "none", Query(_latest("gradient_norm", "node"), "node {{node}}")))
        .with_panel(lines("Learning rate", "none", Query(_latest("learning_rate"), "learning rate")))
        .with_panel(lines("Samples per second", "none", Query(samples, "all ranks")))
        .with_panel(lines("Step", "none", Query(_latest("step"), "step")))
        .with_panel(lines("Epoch", "none", Query(_latest("epoch"), "completed")))
        .with_panel(lines("The program's own", "none", Query(_latest("metric", "name"), "{{name}}"), description=own))
        .with_panel(lines("Samples left out", "none", Query(_latest("bad_samples_total"), "unreadable")))
        .with_panel(lines("Failures of telemetry", "none", Query(_latest("telemetry_failures_total"), "failures")))
    )


def _time(built: dashboard.Dashboard) -> dashboard.Dashboard:
    wait = f"rate(trainyard_data_wait_seconds_total{_JOB}[$__rate_interval])"
    stepping = f"rate(trainyard_step_seconds_sum{_JOB}[$__rate_interval])"
    waiting = Query(f"sum by (node) ({wait}) / (sum by (node) ({stepping}) > 0)", "node {{node}}")
    pauses = f"trainyard_checkpoint_seconds_sum{_JOB} / (trainyard_checkpoint_seconds_count{_JOB} > 0)"
    median = Query(_quantile(0.5, "step_seconds", "node"), "median, node {{node}}")
    slowest = Query(_quantile(0.95, "step_seconds", "node"), "95%, node {{node}}")
    slow = "A node whose steps take longer than its peers' holds up all of them."
    still = "On average; training stands still for so long."
    pause = Query(f"max by (node) ({pauses})", "node {{node}}")
    return (
        built.with_row(dashboard.Row("Time"))
        .with_panel(lines("Time of a step", "s", median, slowest, description=slow))
        .with_panel(lines("Waiting for data", "percentunit", waiting, description="Part of the time of a step."))
        .with_panel(lines("Pause for a checkpoint", "s", pause, description=still))
    )
