"""Run many captures on many workers: what is done stays done, what changed is done again, what is poisoned is told."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelledError
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from ccp_assess.errors import first_line
from ccp_assess.fleet.chain import sweep_states
from ccp_assess.fleet.cluster import Engine, connect
from ccp_assess.fleet.crew import Crew, NoAnswerError, ask_scheduler, dashboard_of
from ccp_assess.fleet.dataset import Dataset, open_dataset
from ccp_assess.fleet.inputs import NoRoomError
from ccp_assess.fleet.lease import LateError, Lease
from ccp_assess.fleet.merging import merge_all
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.plan import Plan, join_shared, make_plan
from ccp_assess.fleet.refusals import told_as_kept
from ccp_assess.fleet.sources import Place, SourceFile, check_source_is_there, lies_inside, open_place
from ccp_assess.fleet.units import Span, Unit
from ccp_assess.fleet.work import Manner, do_again, do_part, do_unit

Progress = Callable[[str, int, int], None]
_ROUNDS = 12
_LEAST_WAITING = 4
_ANSWER_S = 20.0
"""For an answer that a worker has; Dask may wait for ever where the worker ends at that moment."""

_LISTEN_S = 0.5
"""At first: others must not stand idle while an answer that went with its worker is made again."""

LONG_SHARE = 0.25
"""Of what each worker has to do on the average; a longer recording, read part by part, may decide when all ends, since
each part takes up what those before it left. By simulation: half of it took a quarter longer, a tenth no less."""

_PATIENCE_S = 60.0
_SLOWEST_BYTES_PER_S = 20e6
"""What takes longer than both, and twice as long as anything took so far, is begun again by a worker that is idle."""

_UNMANNED_S = 120.0
"""So long workers may be gone that were there: others may be started in their place, but Dask gives up on some that end
while they begin."""

_STAGES = 3
"""Threads that the reader can use."""

_MOST_SETBACKS = 8
_NO_PROGRESS = "what one worker read another could not take up, again and again; have all of them the same ccp-assess?"
_UNMANNED = "there are no workers any more; what was finished is kept: start some and run the same command again"
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
    if lies_inside(dest, source):
        raise FleetError(f"{dest.url} lies inside {source.url}; choose a destination of its own")
    check_source_is_there(source)
    dataset = open_dataset(dest)
    heads: dict[SourceFile, Span | str] = {}
    failed: dict[str, dict[str, Any]] = {}
    total_done = 0
    with told_as_kept(dest_url), Lease(dataset) as lease, ExitStack() as engines:
        client = crew = None
        hung: list[Any] = []
        records = dataset.units_of_runs()
        plan = make_plan(source, dataset, heads, records)
        kept = len(plan.done)
        for _ in range(_ROUNDS):
            if any(unit.key not in failed for unit in plan.pending):
                if client is None or crew is None:
                    client = engines.enter_context(connect(engine))
                    is_own = engine.scheduler is None
                    crew = Crew(client, is_own=is_own, say=say)
                    if say is not None and client.dashboard_link:
                        say(f"dashboard: {client.dashboard_link if is_own else dashboard_of(client)}")
                todo = _Round(
                    client,
                    engine,
                    crew=crew,
                    source=source,
                    dataset=dataset,
                    plan=plan,
                    records=records,
                    failed=failed,
                    lease=lease,
                    hung=hung,
                    progress=progress,
                )
                try:
                    total_done += todo.run()
                except KeyboardInterrupt:
                    if say is not None:
                        words = f"{len(records)} of {len(plan.units)} units are done, and the parts read of others kept"
                        say(f"{words}; the same command goes on")
                    raise
            elif not join_shared(dataset, plan):
                break
            plan = make_plan(source, dataset, heads, records)
        lease.let_nobody_write()
        records = dataset.units()
        planned = {unit.key for unit in plan.units}
        for key, record in list(records.items()):
            if record["files"][0]["kind"] != "collected" and key not in planned:
                dataset.drop_unit(records.pop(key))
        dataset.sweep(records.values())
        sweep_states(dataset, {unit.key for unit in plan.pending}, plan.last)
        for unit in plan.pending:
            failed.setdefault(unit.key, _failure(unit, "its files kept changing; run again when they are at rest"))
        wanted = {unit.key for unit in plan.pending}

        def check() -> None:
            lease.check()
            if client is not None and client.status != "running":
                raise FleetError(_LOST)

        unmerged = merge_all(dataset, records.values(), client, check)
        manifest = dataset.write_manifest(records.values(), plan.set_aside)
    left_out = [row for key, row in failed.items() if key in wanted]
    return FleetResult(manifest=manifest, done=total_done, kept=kept, failed=(*left_out, *unmerged))


def _failure(unit: Unit, reason: str) -> dict[str, Any]:
    return {"paths": [file.path for file in unit.files], "reason": reason}


@dataclass(slots=True, eq=False)
class _Job:
    """A unit on its way."""

    unit: Unit
    was: dict[str, Any] | None  # the record of the same files with other stamps, until it is known to differ
    steps: int = 0
    begun: float = 0.0
    setbacks: int = 0
    done_bytes: int = 0
    asked: float | None = None  # since when its answer is waited for

    @property
    def left_bytes(self) -> int:
        return self.unit.size - self.done_bytes


class _NotYetError(Exception):
    """The answer that seemed to be there is not."""


class _Round:
    """Hand out the pending units of one plan, a few at a time, and take what comes back."""

    def __init__(
        self,
        client: Any,
        engine: Engine,
        *,
        crew: Crew,
        source: Place,
        dataset: Dataset,
        plan: Plan,
        records: dict[str, dict[str, Any]],
        failed: dict[str, dict[str, Any]],
        lease: Lease,
        hung: list[Any],
        progress: Progress | None,
    ) -> None:
        self._client, self._engine, self._source, self._dataset = client, engine, source, dataset
        self._crew, self._hung = crew, hung
        self._records, self._failed, self._lease, self._progress = records, failed, lease, progress
        todo = [unit for unit in plan.pending if unit.key not in failed]
        self._waiting = deque(_Job(unit, plan.replaced.get(unit.key)) for unit in todo)
        self._jobs = tuple(self._waiting)
        self._total = sum(unit.size for unit in plan.units)
        self._kept_bytes = self._total - sum(unit.size for unit in todo)
        self._running: dict[Any, _Job] = {}
        self._done = 0
        self._longest_s = 0.0
        self._manned = time.monotonic()
        self._begun = time.monotonic()

    def run(self) -> int:
        """Do all of it; return how many units were done."""
        distributed = need("distributed")
        try:
            return self._work(distributed)
        except (distributed.comm.CommClosedError, CancelledError, FutureCancelledError, NoAnswerError) as error:
            raise FleetError(_LOST) from error

    def _work(self, distributed: Any) -> int:
        while self._waiting or self._running:
            self._lease.check()
            self._check_scheduler()
            self._hand_out()
            self._begin_again()
            with suppress(TimeoutError, distributed.TimeoutError), self._client.as_current():
                distributed.wait(list(self._running), timeout=0.5, return_when="FIRST_COMPLETED")
            for future in [future for future in self._running if future.done()]:
                with suppress(_NotYetError):
                    self._take(future)
            self._tell()
        return self._done

    def _tell(self) -> None:
        if self._progress is None:
            return
        done_bytes = sum(job.done_bytes for job in self._jobs)
        words = f"{self._done} of {len(self._jobs)} units"
        if done_bytes:
            left = sum(job.left_bytes for job in self._jobs)
            minutes = (time.monotonic() - self._begun) * left / done_bytes / 60
            words += f", about {ceil(minutes)} min left"
        self._progress(words, self._kept_bytes + done_bytes, self._total)

    def _hand_out(self) -> None:
        workers = self._crew.count()
        if workers:
            self._manned = time.monotonic()
        elif time.monotonic() - self._manned > _UNMANNED_S:
            raise FleetError(_UNMANNED)
        late = self._late()  # who has them does nothing more, it seems: others take as much as they would
        free = self._most_out(workers) - sum(job not in late for job in self._running.values())
        while self._waiting and free > 0:
            self._begin(self._waiting.popleft(), self._threads(workers))
            free -= 1

    def _most_out(self, workers: int) -> int:
        """Hold the next task ready for each worker, unless the parts of the longest recording would wait behind it."""
        is_local, part_bytes = self._source.local is not None, self._engine.part_bytes
        chains = (job.left_bytes for job in self._jobs if job.unit.is_for_parts(part_bytes, is_local=is_local))
        average = sum(job.left_bytes for job in self._jobs) / max(workers, 1)
        if workers > 1 and max(chains, default=0) > LONG_SHARE * average:
            return workers
        return max(_LEAST_WAITING, 2 * workers)

    def _begin_again(self) -> None:
        """Let idle workers do what should be done by now: who has it may be hung, cut off, or very slow.

        Whatever comes first counts. Who wakes up later puts the same bytes, or nothing (`check_permit`). It is not told
        to stop: while it seems to be at work the scheduler gives it nothing more.
        """
        late = self._late()
        if self._waiting or not late:
            return
        processing = ask_scheduler(self._client, self._client.scheduler.processing)
        idle = [worker for worker, keys in processing.items() if not keys]
        for job, worker in zip(late, idle, strict=False):
            self._begin(job, 1, worker)

    def _late(self) -> list[_Job]:
        now = time.monotonic()
        return [job for job in dict.fromkeys(self._running.values()) if now - job.begun > self._patience_s(job)]

    def _patience_s(self, job: _Job) -> float:
        step_bytes = min(job.unit.size, self._engine.part_bytes)
        return max(_PATIENCE_S + step_bytes / _SLOWEST_BYTES_PER_S, 2 * self._longest_s)

    def _threads(self, workers: int) -> int:
        """Let the last units have the processors of this machine that nobody else has work for."""
        left = len(self._waiting) + len(self._running) + 1
        return 1 if self._engine.scheduler is not None else max(min(workers // left, _STAGES), 1)

    def _begin(self, job: _Job, threads: int, worker: str | None = None) -> None:
        unit, places = job.unit.to_document(), (self._source.url, self._dataset.place.url)
        engine = self._engine
        manner = Manner(
            threads=threads,
            hash_inputs=engine.hash_inputs,
            part_bytes=engine.part_bytes,
            permit=self._lease.permit,
        )
        if job.was is not None:
            work: tuple[Any, ...] = (do_again, unit, job.was, *places, manner)
        elif job.unit.is_for_parts(engine.part_bytes, is_local=self._source.local is not None):
            work = (do_part, unit, *places, manner)
        else:
            work = (do_unit, unit, *places, manner)
        key = f"unit-{job.unit.key}-{job.steps}"
        future = self._client.submit(*work, key=key, pure=False, workers=None if worker is None else [worker])
        job.steps += 1
        job.begun, job.asked = time.monotonic(), None
        self._running[future] = job

    def _take(self, future: Any) -> None:
        self._check_scheduler()
        job = self._running.get(future)
        if job is None:  # it was taken out with another one that did the same
            return
        job.asked = job.asked or time.monotonic()
        told = _answer(future, time.monotonic() - job.asked)
        del self._running[future]
        future.release()  # or its worker's death would let Dask do it again
        others = [other for other, its in self._running.items() if its is job]
        if others and not isinstance(told, dict):  # who does the same may do better
            return
        for other in others:
            del self._running[other]
        self._hung += others
        if told is None or (isinstance(told, NoRoomError) and self._crew.send_away_full(job.unit.size, job.begun)):
            self._waiting.appendleft(job)
        elif isinstance(told, LateError):
            self._go_on(job, job.done_bytes, first_line(told))
        elif isinstance(told, BaseException):
            self._fail(job, _reason(told))
        else:
            self._longest_s = max(self._longest_s, time.monotonic() - job.begun)
            self._note(told, job)

    def _note(self, told: dict[str, Any], job: _Job) -> None:
        if "key" in told:
            self._done += 1
            self._records[told["key"]] = told
            if job.was is not None:
                del self._records[job.was["key"]]
        if "key" in told or "changed" in told:
            job.done_bytes = job.unit.size
            return
        if job.was is not None:  # it holds something else: read it
            self._dataset.drop_unit(job.was)
            del self._records[job.was["key"]]
            job.was = None
        done_bytes = told.get("done_bytes", 0)
        self._go_on(job, done_bytes, _NO_PROGRESS if done_bytes < job.done_bytes else None)

    def _go_on(self, job: _Job, done_bytes: int, setback: str | None) -> None:
        """Let a unit be read on, unless it was set back again and again."""
        job.setbacks += setback is not None
        if setback is not None and job.setbacks > _MOST_SETBACKS:
            self._fail(job, setback)
        else:
            self._waiting.appendleft(job)
            job.done_bytes = done_bytes

    def _fail(self, job: _Job, reason: str) -> None:
        self._failed[job.unit.key] = _failure(job.unit, reason)
        job.done_bytes = job.unit.size

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise FleetError(_LOST)


def _answer(future: Any, waited_s: float) -> dict[str, Any] | BaseException | None:
    """Return what was told or raised; ``None`` where that was lost on its way and is waited for too long."""
    if future.status == "cancelled":
        return None
    distributed = need("distributed")
    timeout = max(_LISTEN_S, waited_s / 2)  # longer and longer: the way may be slow
    try:
        error: BaseException | None = future.exception(timeout=timeout)
        answer: dict[str, Any] | BaseException = error or future.result(timeout=timeout)
    except (TimeoutError, distributed.TimeoutError):  # its worker went with the answer, or stands still
        if waited_s < _ANSWER_S:
            raise _NotYetError from None
        future.cancel()
        return None
    except (distributed.comm.CommClosedError, FutureCancelledError):
        raise
    except Exception as failure:  # noqa: BLE001 - its worker went, and who did it again failed
        return failure
    return answer


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "the workers that read it ended again and again; does it want more memory than they have?"
    return first_line(error)
