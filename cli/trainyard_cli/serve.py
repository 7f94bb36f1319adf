"""`trainyard serve`: a published model behind the Open Inference Protocol."""

import argparse
import sys

from trainyard_api.errors import ExitCode
from trainyard_server.model import InferenceModel
from trainyard_server.model_store import resolve_model
from trainyard_server.server import serve


def main(args: argparse.Namespace) -> int:
    """Serve `args.model` at `args.host` and `args.port` until SIGTERM or Ctrl-C."""
    model = InferenceModel.load(resolve_model(args.model))
    signature = model.signature

    def announce(url: str) -> None:
        sys.stdout.write(f"Serving {signature.name} {signature.version} at {url}/v2/models/{signature.name}\n")
        sys.stdout.write(f"Metrics at {url}/metrics; Ctrl-C ends\n")

    serve(model, args.host, args.port, announce=announce)
    return ExitCode.OK
