from builders import NOW
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
