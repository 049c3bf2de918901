"""The means to see what a server does: traces, explained requests, the console, profiles."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, features, misc, own, traces
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class DiagnosticsOptions(Section):
    """The means to see what a server does: traces, explained requests, the console, profiles."""

    # fmt: off
    console: bool | str = own(False, "console",
        "Serve the console, a page for browsers that shows what the server does and changes objects, at "
        "/console. With read-only the page changes nothing. Default: true for the command pilothouse serve.")
    contention_profiling: bool = features(False, "bool", "Profile locks.", effective=False)
    debug_socket_path: str = features("", "string",
        "Unix socket for debugging without credentials.", effective=False)
    enable_logs_handler: bool = misc(False, "bool",
        "Serve /logs.", effective=False, gone="This flag will be removed in v1.19")
    explained_requests: int = own(10000, "int",
        "How many of the latest requests GET /debug/requests and `pilothouse why` can explain, in 1 KB each; "
        "0 for none.")
    faults_: bool = own(False, "bool",
        "For tests of controllers: have requests fail, wait or be cut as is asked for at /faults. Never in "
        "production. See docs/testing.md.")
    profiling: bool = features(True, "bool", "Serve Go's profiles under /debug/pprof.", effective=False)
    tracing_config_file: str = traces("", "file", "TracingConfiguration: where spans are sent.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the fault of a number of requests below 0."""
        if self.explained_requests < 0:
            yield f"--explained-requests {self.explained_requests} can not be negative"
