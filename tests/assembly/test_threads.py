from builders import NOW, eventually
from fleetcron.assembly.threads import WorkerThread
from fleetcron.dispatch.local import LocalLine
from fleetcron.worker.limits import AttemptConfig
from fleetcron.worker.worker import Worker


def a_thread() -> WorkerThread:
    return WorkerThread(Worker(LocalLine(), {}, clock=lambda: NOW, config=AttemptConfig()))


def test_a_worker_that_waits_for_commands_can_be_stopped() -> None:
    thread = a_thread()
    thread.start()
    thread.stop()
    assert not thread._thread.is_alive()


def test_stopping_twice_is_as_good_as_once() -> None:
    thread = a_thread()
    thread.start()
    thread.stop()
    thread.stop()


def test_a_drained_worker_ends_by_itself_and_says_so() -> None:
    thread = a_thread()
    thread.start()
    eventually(lambda: thread.trouble() is None)
    thread.drain(5)
    eventually(lambda: not thread.is_alive())
    assert thread.trouble() == "has ended"
    thread.drain(5)
    thread.stop()


def test_a_worker_beats_while_its_loop_goes_round() -> None:
    thread = a_thread()
    assert thread.trouble() == "has ended"
    thread.start()
    beaten = thread._pulse._beaten
    eventually(lambda: thread._pulse._beaten > beaten)
    thread.stop()
