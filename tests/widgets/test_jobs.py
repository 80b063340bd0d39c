"""Long work: beside the kernel's thread, with progress, stoppable, and never silent about a failure."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from ccp_assess.errors import TableError
from ccp_assess.widgets.jobs import Job, Latest


def failing(_progress: Any) -> None:
    raise TableError("the cell is empty", file="sites.csv")


def faulty(_progress: Any) -> None:
    raise ZeroDivisionError("<b>oops</b>")


def in_a_kernel(job: Job[Any], work: Callable[[Any], Any], meanwhile: Callable[[], None] | None = None) -> None:
    """Run work as in a notebook, where a loop goes on around it."""

    async def run() -> None:
        job.start(work, "working")
        if meanwhile is not None:
            meanwhile()
        while job.is_running:  # noqa: ASYNC110 - a job has no event to wait for
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(run(), timeout=60))


def test_without_a_kernel_the_work_is_done_at_once() -> None:
    results: list[int] = []
    Job(results.append).start(lambda _progress: 7, "counting")
    assert results == [7]


def test_in_a_kernel_the_work_runs_in_a_thread_and_the_result_comes_back_to_ours() -> None:
    threads: dict[str, int] = {}

    def done(_result: object) -> None:
        threads["done"] = threading.get_ident()

    def work(progress: Any) -> int:
        threads["work"] = threading.get_ident()
        progress("half", 1, 2)
        return 1

    job: Job[int] = Job(done)
    in_a_kernel(job, work)
    assert threads["done"] == threading.get_ident() != threads["work"]
    assert job.shown.value == ""
    assert job.stop.layout.display == "none"


def test_the_button_stops_the_work_at_its_next_step() -> None:
    results: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def work(progress: Any) -> int:
        started.set()
        assert go_on.wait(30)
        progress("a step", 1, 2)
        return 1

    job: Job[int] = Job(results.append)

    def stop() -> None:
        assert started.wait(30)
        job.stop.click()
        go_on.set()

    in_a_kernel(job, work, stop)
    assert results == []
    assert "Stopped" in job.shown.value


def test_our_errors_are_sentences_and_faults_are_said_too() -> None:
    job: Job[None] = Job(lambda _result: None)
    in_a_kernel(job, failing)
    assert "sites.csv: the cell is empty" in job.shown.value
    assert "role='alert'" in job.shown.value
    in_a_kernel(job, faulty)
    assert "fault of the toolkit" in job.shown.value
    assert "<b>" not in job.shown.value


def test_only_one_piece_of_work_at_a_time() -> None:
    results: list[int] = []
    go_on = threading.Event()
    job: Job[int] = Job(results.append)

    def work(_progress: Any) -> int:
        assert go_on.wait(30)
        return 1

    def again() -> None:
        job.start(lambda _progress: 2, "another")
        go_on.set()

    in_a_kernel(job, work, again)
    assert results == [1]


def test_what_the_work_tells_before_its_end_is_heard_in_order() -> None:
    heard: list[int] = []
    job: Job[None] = Job(lambda _result: None, heard.append)

    def work(_progress: Any) -> None:
        for number in range(3):
            job.tell(number)

    in_a_kernel(job, work)
    assert heard == [0, 1, 2]


def answers_to(then: Callable[[Latest[int], list[int]], None]) -> list[int]:
    """Ask for 0; what happens while it is worked out is up to the caller."""
    answers: list[int] = []
    latest: Latest[int] = Latest()
    first_began, go_on = threading.Event(), threading.Event()

    def slow() -> int:
        first_began.set()
        assert go_on.wait(30)
        return 0

    async def ask() -> None:
        latest.ask(slow, answers.append)
        await asyncio.to_thread(first_began.wait, 30)
        then(latest, answers)
        go_on.set()
        while latest._is_running:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(ask(), timeout=60))
    return answers


def test_of_many_questions_the_last_is_answered() -> None:
    def ask_more(latest: Latest[int], answers: list[int]) -> None:
        for number in range(1, 5):
            latest.ask(lambda number=number: number, answers.append)

    assert answers_to(ask_more) == [4]


def test_a_question_that_nobody_has_any_more_is_not_answered_though_it_is_worked_out_already() -> None:
    assert answers_to(lambda latest, _answers: latest.forget()) == []


def test_without_a_kernel_every_question_is_answered() -> None:
    answers: list[int] = []
    Latest().ask(lambda: 1, answers.append)
    assert answers == [1]
