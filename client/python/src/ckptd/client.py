"""Questions to the daemon: runs, checkpoints and history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Optional, Union

import grpc

from ckptd import v1
from ckptd.checkpoint import Checkpoint
from ckptd.errors import ClosedError
from ckptd.history import (
    Checkpoints,
    History,
    HistoryBuilder,
    Series,
    check_metrics,
    sampled_series,
)
from ckptd.internal.arguments import check_at_least, check_type, suggests_arguments
from ckptd.internal.channel import callable_for, make_channel, server_or_default
from ckptd.internal.rpc_status import from_grpc

_PAGE_SIZE = 1000
# Of a GetHistory call.
_MAX_POINTS = 10_000
_MAX_METRICS = 10


class Client:
    """A connection to a daemon. Thread-safe. Errors are those of the services (see ckptd.Error);
    UnavailableError names the server that was tried."""

    @suggests_arguments
    def __init__(self, server: Optional[str] = None, *, timeout: float = 30.0) -> None:
        """server: "HOST:PORT" or "unix:PATH"; else $CKPT_SERVER, else 127.0.0.1:7070. timeout: of
        each call but downloads, seconds."""
        self.server = server_or_default(server)
        self._timeout = timeout
        self._closed = False
        self._control = make_channel(self.server, bulk=False)
        self._bulk = make_channel(self.server, bulk=True)
        self._download = callable_for(self._bulk, "WeightService", "Download")

    def close(self) -> None:
        self._closed = True
        self._control.close()
        self._bulk.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        raised: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    @suggests_arguments
    def runs(self, filter: str = "") -> Iterator[v1.Run]:
        """In the order of their names; see v1.ListRunsRequest.filter."""
        request = v1.ListRunsRequest(filter=filter, page_size=_PAGE_SIZE)
        while True:
            page = self._ask("ListRuns", request)
            yield from page.runs
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def run(self, run: str) -> v1.Run:
        answer: v1.Run = self._ask("GetRun", v1.GetRunRequest(name=_run_name(run)))
        return answer

    @suggests_arguments
    def checkpoints(
        self, run: Optional[str] = None, *, filter: str = "", order_by: str = ""
    ) -> Checkpoints:
        """Of one run, or of all; see v1.ListCheckpointsRequest. They are asked for as they are
        iterated over."""
        request = v1.ListCheckpointsRequest(
            parent="runs/-" if run is None else _run_name(run),
            filter=filter,
            order_by=order_by,
            page_size=_PAGE_SIZE,
        )
        return Checkpoints(lambda: self._pages_of_checkpoints(request))

    @suggests_arguments
    def checkpoint(self, run: str, id: Union[str, int] = "latest") -> Checkpoint:
        """`id`: a number, "latest", "best" or "best:POLICY"."""
        request = v1.GetCheckpointRequest(name=f"{_run_name(run)}/checkpoints/{id}")
        return Checkpoint(self, self._ask("GetCheckpoint", request))

    @suggests_arguments
    def best(self, run: str, metric: str = "", *, mode: str = "", policy: str = "") -> Checkpoint:
        """See v1.GetBestCheckpointRequest."""
        request = v1.GetBestCheckpointRequest(
            run=_run_name(run), metric=metric, mode=mode, policy=policy
        )
        return Checkpoint(self, self._ask("GetBestCheckpoint", request))

    @suggests_arguments
    def history(
        self,
        run: str,
        metrics: Union[str, Sequence[str], None] = None,
        *,
        points: Optional[int] = None,
    ) -> History:
        """The recorded metrics of a run, or those of them that are named. KeyError: there is none
        of a name.

        points: at most so many of each, up to 10,000, which the daemon chooses so that no spike is
        lost. Without it every one comes, which takes a while where there are millions.
        """
        if isinstance(metrics, str):
            metrics = [metrics]
        if points is not None:
            series = self._sampled(run, metrics, points)
            return History(run, series, list(self.checkpoints(run)))
        builder = HistoryBuilder(run, metrics)
        request = v1.ListEventsRequest(parent=_run_name(run), page_size=_PAGE_SIZE)
        while True:
            page = self._ask("ListEvents", request)
            for recorded in page.events:
                builder.add(recorded)
            if not page.next_page_token:
                return builder.build(list(self.checkpoints(run)))
            request.page_token = page.next_page_token

    def _sampled(
        self, run: str, metrics: Optional[Sequence[str]], points: int
    ) -> dict[str, Series]:
        check_at_least("points", points, 1)
        if points > _MAX_POINTS:
            raise ValueError(f"points is {points}; it must be {_MAX_POINTS} or less")
        request = v1.GetHistoryRequest(run=_run_name(run))
        known = sorted(one.metric for one in self._ask("GetHistory", request).series)
        wanted = known if metrics is None else list(metrics)
        check_metrics(run, wanted, known)
        request.points = points
        series = {}
        for first in range(0, len(wanted), _MAX_METRICS):
            request.metrics[:] = wanted[first : first + _MAX_METRICS]
            for one in self._ask("GetHistory", request).series:
                series[one.metric] = sampled_series(one)
        return series

    def _pages_of_checkpoints(self, first: v1.ListCheckpointsRequest) -> Iterator[Checkpoint]:
        request = v1.ListCheckpointsRequest()
        request.CopyFrom(first)
        while True:
            page = self._ask("ListCheckpoints", request)
            for message in page.checkpoints:
                yield Checkpoint(self, message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _ask(self, method: str, request: Any) -> Any:
        if self._closed:
            raise ClosedError("the Client is closed", code="FAILED_PRECONDITION")
        try:
            return callable_for(self._control, "CatalogService", method)(
                request, timeout=self._timeout
            )
        except grpc.RpcError as error:
            raise from_grpc(error, self.server) from None


def _run_name(run: str) -> str:
    check_type("run", run, str)
    return run if run.startswith("runs/") else f"runs/{run}"
