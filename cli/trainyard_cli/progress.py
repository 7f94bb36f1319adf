"""The numbers of a training's progress, in words."""

from trainyard_api import status


def numbers(progress: status.Progress, *, step: bool = True) -> str:
    """Epoch being trained, step (if wanted), loss, speed and time left, as far as they're known."""
    steps = f"step {progress.step}/{progress.steps}" if progress.steps else f"step {progress.step}"
    parts = [
        f"epoch {min(progress.epoch + 1, progress.epochs)}/{progress.epochs}" if progress.epochs else "",
        steps if step else "",
        f"loss {progress.loss:.4f}" if progress.loss is not None else "",
        f"{progress.samples_per_second:,.0f} samples/s" if progress.samples_per_second else "",
        f"{_duration(progress.seconds_left)} left" if progress.seconds_left is not None else "",
    ]
    return "  ".join(part for part in parts if part)


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
