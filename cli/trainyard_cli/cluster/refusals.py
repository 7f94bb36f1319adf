"""What the API server's refusals mean, said to a person."""

from typing import Any

from trainyard_api.errors import ExitCode, TrainyardError

INSTALL = "install it: helm install trainyard ... (docs/operate.md)"


class Refused(Exception):
    """The API server answered with an error: its status, and its Status object."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(status, document)
        self.status = status
        self.document = document

    @property
    def message(self) -> str:
        """The server's own words."""
        return str(self.document.get("message") or f"HTTP {self.status}")

    @property
    def details(self) -> dict[str, Any]:
        """Kind and name of the object, and the causes field by field, where the server tells them."""
        return self.document.get("details") or {}

    @property
    def no_such_api(self) -> bool:
        """Whether it isn't the object that is missing but its whole kind."""
        return self.status == 404 and not self.details.get("name")


def explained(refused: Refused, server: str, namespace: str) -> TrainyardError:
    """One message with a remedy. Exit code 3 where trying again later may help."""
    where = f"{server}, namespace {namespace}"
    match refused.status:
        case 401:
            what, remedy = (
                "the cluster doesn't accept your credentials",
                "log in again; `kubectl auth whoami` must work",
            )
            return TrainyardError(what, server, remedy, cause="Forbidden")
        case 403:
            remedy = "ask for the role edit in that namespace (for reading: view); docs/operate.md: Permissions"
            return TrainyardError(f"you may not do this: {refused.message}", where, remedy, cause="Forbidden")
        case 404 if refused.no_such_api:
            return TrainyardError("this cluster doesn't know TrainingJobs", server, INSTALL, cause="NotInstalled")
        case 404:
            return TrainyardError(refused.message, where, "check the name and the namespace (-n)", cause="NotFound")
        case 429 | 500 | 502 | 503 | 504:
            what = f"the API server has trouble: {refused.message}"
            return TrainyardError(what, server, "try again in a minute", ExitCode.INFRASTRUCTURE, "ApiServer")
    return TrainyardError(f"the API server refuses: {refused.message}", where, "mend what it names", cause="Refused")


def unreachable(error: Exception, server: str, context: str) -> TrainyardError:
    """No answer at all."""
    reason = getattr(error, "reason", None) or error
    said = str(reason).rpartition(": ")[2].strip() or type(reason).__name__
    return TrainyardError(
        f"the cluster doesn't answer: {said}",
        f"{server}, context {context}",
        "check the network and that this is the cluster you mean (kubectl config get-contexts)",
        ExitCode.INFRASTRUCTURE,
        "ClusterUnreachable",
    )
