"""A backend that fails is not asked any more, until it answers; and it never takes all the places."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import weakref

import pytest
from running import eventually

from taler_paywall import breaker
from taler_paywall.breaker import MAX_FAILURES, UNPROBED_SECONDS, Breaker, Places
from taler_paywall.errors import BackendBusy, BackendUnreachable, CircuitOpen
from taler_paywall.operations import BackendResponse

FAILED = BackendUnreachable("no answer in time")
SLOW = 1.0


def answer(status: int) -> BackendResponse:
    return BackendResponse(status, "", b"")


def is_open(circuit: Breaker) -> bool:
    try:
        circuit.check()
    except CircuitOpen:
        return True
    return False


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _: float) -> None:
        """Let the thread of the probe stand still, as this clock does."""
        threading.Event().wait(5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(breaker, "time", made)
    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.02)


def fail(circuit: Breaker, times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        circuit.heard(FAILED)


@pytest.mark.parametrize("failure", [FAILED, answer(500), answer(503)])
def test_it_opens_after_five_failures_in_a_row(failure: BackendUnreachable | BackendResponse) -> None:
    circuit = Breaker(lambda: False)
    for _ in range(MAX_FAILURES - 1):
        circuit.heard(failure)
    assert not is_open(circuit)
    circuit.heard(failure)
    assert is_open(circuit)


@pytest.mark.parametrize("status", [200, 402, 404, 401])
def test_an_answer_ends_the_row(status: int) -> None:
    """What the backend refuses it has understood: it is there."""
    circuit = Breaker(lambda: False)
    fail(circuit, MAX_FAILURES - 1)
    circuit.heard(answer(status))
    fail(circuit, MAX_FAILURES - 1)
    assert not is_open(circuit)


@pytest.mark.usefixtures("quick")
def test_it_probes_by_itself_and_closes() -> None:
    """Nobody has to come: it asks again and again; a probe that fails, or is refused, keeps it open."""
    said: list[str] = []
    probes = iter([False, FAILED, False, True])

    def probe() -> bool:
        outcome = next(probes)
        if outcome is FAILED:
            raise LookupError
        return bool(outcome)

    circuit = Breaker(probe, said.append)
    fail(circuit)
    assert is_open(circuit)
    eventually(lambda: not is_open(circuit), "the circuit closes")
    assert said == ["backend-down", "backend-up"]
    assert next(probes, None) is None


@pytest.mark.usefixtures("quick")
def test_after_a_probe_it_takes_as_many_failures_again() -> None:
    circuit = Breaker(lambda: True)
    fail(circuit)
    eventually(lambda: not is_open(circuit), "the circuit closes")
    fail(circuit, MAX_FAILURES - 1)
    assert not is_open(circuit)
    circuit.heard(FAILED)
    assert is_open(circuit)


def test_an_answer_closes_it() -> None:
    """Of a call that was on its way when the others failed: the backend is there."""
    said: list[str] = []
    circuit = Breaker(lambda: False, said.append)
    fail(circuit)
    circuit.heard(answer(200))
    assert not is_open(circuit)
    assert said == ["backend-down", "backend-up"]


def test_what_is_told_last_is_so() -> None:
    """An answer that comes while others are told that there is none."""
    said: list[str] = []

    def tell(change: str) -> None:
        if change == "backend-down" and not said:
            circuit.heard(answer(200))
        said.append(change)

    circuit = Breaker(lambda: False, tell)
    fail(circuit)
    assert not is_open(circuit)
    assert said == ["backend-up", "backend-down", "backend-up"]


def test_where_it_has_closed_meanwhile_nobody_probes() -> None:
    circuit = Breaker(pytest.fail)
    assert circuit.probe()


def test_without_a_thread_it_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would close it again: each request finds out for itself."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    circuit = Breaker(lambda: False)
    fail(circuit, 3 * MAX_FAILURES)
    assert not is_open(circuit)


def test_a_request_is_the_probe_where_threads_stand_still(clock: Clock) -> None:
    """Some servers stop all threads between two requests."""
    circuit = Breaker(lambda: False)
    fail(circuit)
    clock.now += UNPROBED_SECONDS - 0.1
    assert is_open(circuit)
    clock.now += 0.2
    assert not is_open(circuit)
    assert is_open(circuit), "one request alone"
    circuit.heard(answer(200))
    assert not is_open(circuit)


def test_it_opens_once() -> None:
    """Calls that were on their way fail afterwards: no second thread probes."""
    said: list[str] = []
    circuit = Breaker(lambda: False, said.append)
    before = set(threading.enumerate())
    fail(circuit, 3 * MAX_FAILURES)
    assert len(set(threading.enumerate()) - before) == 1
    assert said == ["backend-down"]


@pytest.mark.usefixtures("quick")
def test_who_is_gone_is_not_probed_for() -> None:
    """A site that was made for a test leaves no thread behind."""
    before = set(threading.enumerate())
    circuit = Breaker(lambda: False)
    fail(circuit)
    prober = next(thread for thread in threading.enumerate() if thread not in before)
    gone = weakref.ref(circuit)
    del circuit
    gc.collect()
    eventually(lambda: not prober.is_alive(), "the thread ends")
    assert gone() is None


def test_a_forked_worker_asks_for_itself() -> None:
    """It inherits no thread that would close the circuit again."""
    circuit = Breaker(lambda: False)
    fail(circuit)
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def tell() -> None:
        inherited = is_open(circuit)
        fail(circuit)
        writer.send((inherited, is_open(circuit)))

    with reader, writer:
        child = context.Process(target=tell)
        child.start()
        found = reader.recv()
        child.join()
    assert is_open(circuit)
    assert found == (False, True)


def test_waiting_makes_sense_while_calls_are_quick(clock: Clock) -> None:
    places = Places(3, SLOW)
    for _ in range(3):
        places.taken()
        clock.now += 0.25
    # The middle one has been on its way for half a second.
    assert places.patience(clock.now + 5) == SLOW - 0.5
    assert places.patience(clock.now + 0.125) == 0.125


def test_nobody_waits_behind_slow_calls(clock: Clock) -> None:
    """One that hangs is no sign; when half of the places hang, who comes is told so at once."""
    places = Places(4, SLOW)
    first = places.taken()
    clock.now += SLOW / 2
    others = [places.taken() for _ in range(3)]
    clock.now += SLOW / 2
    assert places.patience(clock.now + 5) == SLOW / 2
    clock.now += SLOW / 2
    with pytest.raises(BackendBusy):
        places.patience(clock.now + 5)
    places.left(first)
    for call in others[:2]:
        places.left(call)
    for _ in range(3):
        places.taken()
    assert places.patience(clock.now + 5) == SLOW


def test_nobody_waits_longer_than_the_own_time(clock: Clock) -> None:
    places = Places(1, SLOW)
    places.taken()
    with pytest.raises(BackendBusy):
        places.patience(clock.now)


def test_a_place_that_has_just_come_free(clock: Clock) -> None:
    """Another thread may have left between the look and the wait."""
    assert Places(2, SLOW).patience(clock.now + 5) == SLOW


def test_what_had_no_time_says_nothing() -> None:
    circuit = Breaker(lambda: False)
    for _ in range(MAX_FAILURES):
        circuit.heard(BackendBusy("too little time was left to ask"))
    assert not is_open(circuit)
