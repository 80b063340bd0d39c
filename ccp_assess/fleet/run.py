"""Run many captures on many workers: what is done stays done, what changed is done again, what is poisoned is told."""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ccp_assess.fleet.cluster import Engine, connect
from ccp_assess.fleet.dataset import open_dataset
from ccp_assess.fleet.lease import Lease
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.plan import Plan, join_shared, make_plan
from ccp_assess.fleet.sources import Place, SourceFile, open_place
from ccp_assess.fleet.units import Span, Unit
from ccp_assess.fleet.work import do_unit

Progress = Callable[[str, int, int], None]
_ROUNDS = 12
_LEAST_WAITING = 4
_LOST = "the scheduler was lost; what was finished is kept: run the same command again when it is back"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetResult:
    """What a run did.

    Parameters
    ----------
    manifest
        Counts and hash of the whole dataset.
    done, kept
        Units done now, and those that were done before.
    failed
        Units that could not be done this time, with the reason; the next run tries them again.
    """

    manifest: dict[str, Any]
    done: int
    kept: int
    failed: tuple[dict[str, Any], ...]

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**self.manifest, "done": self.done, "kept": self.kept, "failed": list(self.failed)}


def run_fleet(
    source_url: str,
    dest_url: str,
    engine: Engine,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> FleetResult:
    """Assess all captures of a source into a dataset.

    Parameters
    ----------
    source_url, dest_url
        Folders or buckets.
    engine
        Where the work is done.
    progress
        Called with what is done and what there is [bytes].
    say
        Called with the address of the dashboard.

    Returns
    -------
    result
        What was done.

    Raises
    ------
    FleetError
        If the run cannot begin or go on; what was finished is kept.
    """
    source, dest = open_place(source_url), open_place(dest_url)
    _check_apart(source, dest)
    dataset = open_dataset(dest)
    heads: dict[SourceFile, Span | str] = {}
    failed: dict[str, dict[str, Any]] = {}
    total_done = 0
    with Lease(dataset) as lease:
        plan = make_plan(source, dataset, heads)
        kept = len(plan.done)
        if plan.pending:
            with connect(engine) as client:
                if say is not None:
                    say(f"dashboard: {client.dashboard_link}")
                for _ in range(_ROUNDS):
                    todo = _Round(
                        client, source=source, dest=dest, plan=plan, failed=failed, lease=lease, progress=progress
                    )
                    total_done += todo.run()
                    plan = make_plan(source, dataset, heads)
                    left = [unit for unit in plan.pending if unit.key not in failed]
                    if left:
                        continue
                    if not join_shared(dataset, plan.done):
                        break
                    plan = make_plan(source, dataset, heads)
        dataset.sweep(dataset.units().values())
        for unit in plan.pending:
            failed.setdefault(unit.key, _failure(unit, "its files kept changing; run again when they are at rest"))
        wanted = {unit.key for unit in plan.pending}
        manifest = dataset.write_manifest(dataset.units().values(), plan.set_aside)
    return FleetResult(
        manifest=manifest, done=total_done, kept=kept, failed=tuple(row for key, row in failed.items() if key in wanted)
    )


def _check_apart(source: Place, dest: Place) -> None:
    if source.local is None or dest.local is None:
        same = source.fs is dest.fs and (f"{dest.root}/".startswith(f"{source.root}/"))
    else:
        same = dest.local.resolve().is_relative_to(source.local.resolve())
    if same:
        raise FleetError(f"{dest.url} lies inside {source.url}; choose a destination of its own")


def _failure(unit: Unit, reason: str) -> dict[str, Any]:
    return {"paths": [file.path for file in unit.files], "reason": reason}


class _Round:
    """Hand out the pending units of one plan, a few at a time, and take what comes back."""

    def __init__(
        self,
        client: Any,
        *,
        source: Place,
        dest: Place,
        plan: Plan,
        failed: dict[str, dict[str, Any]],
        lease: Lease,
        progress: Progress | None,
    ) -> None:
        self._client, self._source, self._dest = client, source, dest
        self._failed, self._lease, self._progress = failed, lease, progress
        self._waiting = deque(unit for unit in plan.pending if unit.key not in failed)
        self._total = sum(unit.size for unit in plan.units)
        self._done_bytes = self._total - sum(unit.size for unit in plan.pending)
        self._running: dict[Any, Unit] = {}
        self._done = 0

    def run(self) -> int:
        """Do all of it; return how many units were done."""
        distributed = need("distributed")
        try:
            return self._work(distributed)
        except (distributed.comm.CommClosedError, CancelledError, FutureCancelledError) as error:
            raise FleetError(_LOST) from error

    def _work(self, distributed: Any) -> int:
        while self._waiting or self._running:
            self._lease.check()
            self._check_scheduler()
            self._hand_out()
            with suppress(TimeoutError, distributed.TimeoutError), self._client.as_current():
                distributed.wait(list(self._running), timeout=0.5, return_when="FIRST_COMPLETED")
            for future in [future for future in self._running if future.done()]:
                self._take(future, self._running.pop(future))
            if self._progress is not None:
                self._progress(f"{self._done} units", self._done_bytes, self._total)
        return self._done

    def _hand_out(self) -> None:
        workers = self._client.scheduler_info().get("workers", {})
        most = max(_LEAST_WAITING, 2 * len(workers))
        while self._waiting and len(self._running) < most:
            unit = self._waiting.popleft()
            future = self._client.submit(
                do_unit, unit.to_document(), self._source.url, self._dest.url, key=f"unit-{unit.key}", pure=False
            )
            self._running[future] = unit

    def _take(self, future: Any, unit: Unit) -> None:
        self._check_scheduler()
        if future.status == "cancelled":
            self._waiting.append(unit)
            return
        error = future.exception()
        if error is None:
            if "changed" not in future.result():
                self._done += 1
            self._done_bytes += unit.size
            return
        if isinstance(error, OSError):
            reason = error.strerror or str(error) or type(error).__name__
        else:
            reason = str(error) or type(error).__name__
        self._failed[unit.key] = _failure(unit, reason.splitlines()[0])

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise FleetError(_LOST)
