"""A container's command line as script.command: the launcher brings torchrun and its settings."""

import shlex
from pathlib import PurePosixPath

from trainyard_cli.kubeflow.converted import Converted

_MODULES = ("torch.distributed.run", "torch.distributed.launch")
_FLAGS = ("standalone", "no-python", "module", "m", "run-path", "use-env", "virtual-local-rank")
_HARMLESS = ("-u", "-B", "-O", "-OO")
_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")
_SHELLS = ("sh", "bash")
_SHELL_SIGNS = set(";|&$><`\n(){}*?#")


def take_program(converted: Converted, command: list[str], where: str) -> None:
    """Put the program into spec.script, and what torchrun was told into its own fields."""
    words = _without_shell(converted, [str(word) for word in command], where)
    name = PurePosixPath(words[0]).name if words else ""
    if name == "torchrun":
        words = _without_torchrun(converted, words[1:])
    elif name.startswith("python"):
        words = _without_python(converted, words[1:])
    elif name and not name.endswith(".py"):
        converted.note(f"{where}: {name} is no Python program: put one in its place, torchrun runs it")
    if not words:
        words = ["train.py"]
        converted.note(f"{where}: the program is in the image's entrypoint: name it in spec.script.command")
    if any("$(" in word for word in words):
        converted.note("spec.script.command: $(NAME) is not expanded: let the program read its environment")
    converted.spec["script"] = {"command": words}


def _without_shell(converted: Converted, words: list[str], where: str) -> list[str]:
    """What a shell was to run, if that is one plain command."""
    if len(words) < 3 or PurePosixPath(words[0]).name not in _SHELLS or not words[1].startswith("-"):
        return words
    text = words[2].strip()
    if not set(text) & _SHELL_SIGNS:
        return shlex.split(text)
    converted.note(f"{where}: shell code has no place in a TrainingJob; do the same in the program:\n{text}")
    return []


def _without_python(converted: Converted, words: list[str]) -> list[str]:
    words = _without_options(converted, words)
    if words and words[0].startswith("-m") and words[0] != "-m":
        words = ["-m", words[0][2:], *words[1:]]
    if words[:1] == ["-m"] and len(words) > 1 and words[1] in _MODULES:
        return _without_torchrun(converted, words[2:])
    if words[:1] == ["-c"] and len(words) > 1:
        converted.note(f"the program was on the command line: save it as train.py beside this file\n{words[1]}")
        return ["train.py", *words[2:]]
    return words


def _without_options(converted: Converted, words: list[str]) -> list[str]:
    """The interpreter's own options end at -m, -c or the program. Those that change what it does are told."""
    while words and words[0].startswith("-") and words[0][:2] not in ("-m", "-c") and words[0] != "-":
        option, words = words[0], words[1:]
        value = words[:1] if option in _WITH_VALUE else []
        words = words[len(value) :]
        if option not in _HARMLESS:
            said = " ".join([option, *value])
            converted.note(
                f"python's option {said} is left out: say it in spec.template.env (PYTHON...), if it's wanted"
            )
    return words


def _without_torchrun(converted: Converted, words: list[str]) -> list[str]:
    """torchrun's own options end where the program begins."""
    options: dict[str, str] = {}
    while words and words[0].startswith("-"):
        name, equals, value = words[0].lstrip("-").replace("_", "-").partition("=")
        words = words[1:]
        if not equals and name not in _FLAGS and words:
            value, words = words[0], words[1:]
        options[name] = value
    if processes := options.get("nproc-per-node"):
        take_processes(converted, processes)
    if options.get("max-restarts", "").isdecimal():
        converted.spec["recovery"] = {"maxRestarts": int(options["max-restarts"])}
    if "no-python" in options:
        name = PurePosixPath(words[0]).name if words else ""
        return _without_python(converted, words[1:]) if name.startswith("python") else words
    return ["-m", *words] if {"m", "module"} & options.keys() else words


def take_processes(converted: Converted, given: object) -> None:
    """processesPerNode of a number or a word: auto, gpu, cpu."""
    text = str(given)
    if text.isdecimal():
        converted.spec["processesPerNode"] = int(text)
    elif text == "cpu":
        converted.note(
            "processesPerNode: one per core is not offered: give a number; absent: the GPUs asked for, else 1"
        )
    elif text not in ("auto", "gpu"):
        converted.note(f"processesPerNode: {text} is no number: give one; absent: the GPUs asked for, else 1")
