"""All jobs, and the operator that looks after them."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import Query, bars, board, lines, number, rows

_RATE = "[$__rate_interval]"


def _per_job(metric: str) -> str:
    """A number of each job once: every replica of the operator tells it."""
    return f"max by (namespace, job_name) (trainyard_operator_job_{metric})"


def _quantiles(metric: str, by: str = "") -> list[Query]:
    labels, name = (f"le, {by}", f", {{{{{by}}}}}") if by else ("le", "")
    rate = f"sum by ({labels}) (rate(trainyard_operator_{metric}_bucket{_RATE}))"
    return [
        Query(f"histogram_quantile({q}, {rate})", f"{words}{name}") for q, words in ((0.5, "median"), (0.95, "95%"))
    ]


def fleet() -> dashboard.Dashboard:
    """The dashboard."""
    built = board("trainyard-fleet", "Trainyard: all jobs", "All TrainingJobs, and the operator that looks after them.")
    return _operator(_starting(_jobs(built)))


def _jobs(built: dashboard.Dashboard) -> dashboard.Dashboard:
    phases = "max by (phase) (trainyard_operator_jobs)"
    info = "max by (namespace, job_name, phase, reason) (trainyard_operator_job_info)"
    progress = f"{_per_job('progress_step')} / ({_per_job('progress_steps')} > 0)"
    causes = f"sum by (cause) (rate(trainyard_operator_restarts_total{_RATE})) * 3600 or vector(0)"
    samples = f"sum(max by (namespace, job_name) (rate(trainyard_samples_total{_RATE})))"
    built = built.with_row(dashboard.Row("Jobs"))
    for phase in ("Running", "Pending", "Restarting", "Suspended", "Complete", "Failed"):
        built = built.with_panel(
            number(phase, "none", Query(f'max(trainyard_operator_jobs{{phase="{phase}"}})', phase))
        )
    return (
        built.with_panel(rows("Each job", Query(info)))
        .with_panel(bars("Steps done", "percentunit", Query(progress, "{{namespace}}/{{job_name}}")))
        .with_panel(lines("Jobs by phase", "none", Query(phases, "{{phase}}"), stacked=True))
        .with_panel(lines("Nodes ready", "none", Query(f"sum({_per_job('nodes_ready')})", "nodes")))
        .with_panel(lines("Restarts per hour", "none", Query(causes, "{{cause}}")))
        .with_panel(lines("Samples per second", "none", Query(samples, "all jobs")))
    )


def _starting(built: dashboard.Dashboard) -> dashboard.Dashboard:
    return (
        built.with_row(dashboard.Row("From a job's creation"))
        .with_panel(lines("to its pods'", "s", *_quantiles("create_to_pods_seconds")))
        .with_panel(lines("to running", "s", *_quantiles("create_to_running_seconds")))
        .with_panel(lines("to complete", "s", *_quantiles("create_to_complete_seconds")))
    )


def _operator(built: dashboard.Dashboard) -> dashboard.Dashboard:
    calls = f"sum by (verb, code) (rate(trainyard_operator_api_calls_total{_RATE}))"
    sign = "A healthy one gives a sign of life every minute."
    age = "max by (pod, resource) (trainyard_operator_watch_age_seconds)"
    return (
        built.with_row(dashboard.Row("Operator"))
        .with_panel(lines("Replica that acts", "none", Query("max by (pod) (trainyard_operator_leader)", "{{pod}}")))
        .with_panel(lines("Jobs waiting", "none", Query("max by (pod) (trainyard_operator_queue_depth)", "{{pod}}")))
        .with_panel(lines("Time of a look at a job", "s", *_quantiles("reconcile_seconds", "result")))
        .with_panel(lines("Calls to the API server per second", "none", Query(calls, "{{verb}} {{code}}")))
        .with_panel(lines("Since a watch was last heard of", "s", Query(age, "{{pod}} {{resource}}"), description=sign))
    )
