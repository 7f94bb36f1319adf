"""What `helm test` runs, with the standard library alone: the operator answers, and its account reads TrainingJobs."""

import os
import ssl
import urllib.request
from pathlib import Path

SECONDS = 20
account = Path(os.environ["ACCOUNT"])

for path in ("/healthz", "/readyz"):
    with urllib.request.urlopen(os.environ["OPERATOR"] + path, timeout=SECONDS) as answer:
        print(path, answer.status)

request = urllib.request.Request(os.environ["JOBS"])
request.add_header("Authorization", f"Bearer {(account / 'token').read_text()}")
trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
with urllib.request.urlopen(request, timeout=SECONDS, context=trust) as answer:
    print(request.selector, answer.status)
