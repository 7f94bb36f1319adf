"""Puts what launcher and SDK need behind what the image has, in every process that is started here.

The image's own packages win: another numpy or pydantic than the program was built with must not come between. A
sitecustomize.py of the image is run as if this one weren't there.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_here = Path(__file__).parent
sys.path.append(str(_here.parent / f"cp{sys.version_info.major}{sys.version_info.minor}"))
_spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if Path(path) != _here])
if _spec and _spec.loader:
    _spec.loader.exec_module(module_from_spec(_spec))
