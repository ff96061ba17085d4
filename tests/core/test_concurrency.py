"""Questions that are asked at the same time."""

import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from mmbot_pipelines.core import concurrency

# The node answers nothing, and somebody stops the process meanwhile: while it waits for the
# answer, or while it asks the next question. A shell starts what is in the background deaf to it.
WAITING = """
import os, signal, threading
from mmbot_pipelines.core import concurrency

signal.signal(signal.SIGINT, signal.default_int_handler)

def hang():
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()

with concurrency.questions() as ask:
    ask.submit(hang)
"""
ASKING = WAITING + "    threading.Event().wait()"


def fail() -> None:
    raise ValueError("no answer")


def test_questions_are_asked_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=120)
    with concurrency.questions() as ask:
        answers = [ask.submit(both.wait) for _ in range(2)]
    assert sorted(answer.result() for answer in answers) == [0, 1]


def test_leaving_waits_for_all_answers_though_the_block_fails() -> None:
    going_on, answers = threading.Event(), list[Future[bool]]()

    def ask_and_fail() -> None:
        with concurrency.questions() as ask:
            answers.append(ask.submit(going_on.wait, 120))
            ask.submit(going_on.set)
            fail()

    with pytest.raises(ValueError, match="no answer"):
        ask_and_fail()
    assert [answer.done() and answer.result() for answer in answers] == [True]


def test_a_failure_is_raised_where_its_answer_is_used() -> None:
    with concurrency.questions() as ask:
        lost, kept = ask.submit(fail), ask.submit(str, 7)
    assert kept.result() == "7"
    with pytest.raises(ValueError, match="no answer"):
        lost.result()


@pytest.mark.parametrize("program", [WAITING, ASKING])
def test_a_node_that_hangs_keeps_no_process_from_ending(program: str) -> None:
    stopped = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, timeout=300
    )
    assert b"KeyboardInterrupt" in stopped.stderr
