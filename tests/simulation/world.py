"""One world, made from a seed: engines, workers, servers, people and accidents, from the first fire to the last end.

``run`` lets it live and gives back its story; ``checker`` says what is wrong with that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from builders import a_group, a_server, insert_projects
from fleetcron.domain import fleet as nouns
from fleetcron.domain.execution import Reference
from fleetcron.domain.task import LateLimits
from fleetcron.engine.scheduler import Scheduler
from fleetcron.errors import Constrained, Unavailable
from fleetcron.store import executions, fleet, subtasks, tasks
from fleetcron.store.database import Database, Transaction
from fleetcron.store.rows import Noun, Rows, text_of
from fleetcron.worker.limits import AttemptConfig
from simulation.broker import Broker, WorkerLine
from simulation.checker import check
from simulation.faults import WINDOW_SECONDS, Fault, Kind, Mood, draw_faults, draw_mood
from simulation.journal import Holding, Recorded, Story
from simulation.lives import start_engine, start_worker
from simulation.people import DEEDS_PER_WAVE_MAX, PROJECT, People
from simulation.servers import Servers
from simulation.tables import Answer, Instead, ProcessDatabase, a_database, a_folder
from simulation.virtual import Died, Process, VirtualLoop

DATABASE_VARIABLE = "SIMULATE_DATABASE"

DAWN = datetime(2026, 3, 1, 11, 59, 30, tzinfo=UTC)
NOON_SECONDS = 30.0
DAY_SECONDS = 86_400.0
SETTLES_WITHIN_SECONDS = 400.0
TAKEN_UP_WITHIN_SECONDS = 10

LATE_LIMITS = LateLimits(default_seconds=60, reinstall_seconds=0)
CONFIG = AttemptConfig(start=40, stop=40, restart=60, reinstall=80, notice=5, doubt=10)
ENDPOINTS = (
    nouns.Endpoint(name="lab", driver="simulation", concurrency_max=3),
    nouns.Endpoint(name="lab-slow", driver="simulation", concurrency_max=2),
)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """What a test may put in place of our own, to see that it is found out."""

    worker_line: type[WorkerLine] = WorkerLine
    scheduler: type[Scheduler] = Scheduler
    schema: Instead = ()
    mood: Mood | None = None


def broken_in(story: Story) -> list[str]:
    """Every way in which a story breaks the promises; none in a good one."""
    limits = {endpoint.name: endpoint.concurrency_max for endpoint in ENDPOINTS}
    return check(story, notice_seconds=CONFIG.notice, limits=limits)


def run(seed: int, plant: Plant | None = None) -> Story:
    """The story of a seed; the same one every time."""
    with ExitStack() as stack:
        folder = stack.enter_context(a_folder())
        given = plant or Plant()
        database = stack.enter_context(a_database(os.environ.get(DATABASE_VARIABLE), folder, given.schema))
        world = World(seed, database, given)
        stack.enter_context(_listening(world.story))
        try:
            world.live()
        finally:
            world.end()
        return world.story


class World:
    """Everything that there is, and its laws of nature."""

    def __init__(self, seed: int, database: Database, plant: Plant) -> None:
        self.story = Story(seed=seed)
        self.loop = VirtualLoop()
        self.database = database
        self.plant = plant
        self.in_transaction = False
        self.database_away = 0
        self.engine_clock_max = DAWN
        # Every clock goes by one that may be far off, and is off by less than the sweeper's grace from the others.
        self._offset = 0.0
        self._engine_offset = 0.0
        self._worker_offsets: dict[str, float] = {}
        self._armed = False
        self._ids = 0
        self._seed = seed
        self._rng = self.rng("world")
        self._nature = self.rng("nature")
        self.mood = plant.mood or draw_mood(self.rng("mood"))
        self._broker = Broker(self, self.rng("broker"))
        self.servers = Servers(self, self.rng("servers"), troubled=self.mood.troubled)
        self._engines = [f"engine-{number}" for number in range(self._rng.randint(1, 3))]
        self._workers = [f"worker-{number}" for number in range(self._rng.randint(1, 3))]
        self.alive: dict[str, Process] = {}
        self._dead: list[Process] = []
        self._lives = 0
        self._waves = [NOON_SECONDS + day * DAY_SECONDS for day in range(self._rng.randint(1, 3))]
        self._events: list[float] = []
        self.executions_concurrency_max = self._rng.choice((2, 1000))

    def rng(self, name: str) -> random.Random:
        """A source of chance of its own, so that one more draw here changes nothing there."""
        return random.Random(f"{self._seed}/{name}")  # noqa: S311  (chance that can be repeated is the point)

    # Its life

    def live(self) -> None:
        """From the first moment to rest, or to the moment by which it had to come to rest."""
        self._furnish()
        for name in (*self._engines, *self._workers):
            self._start(name)
        for fault in draw_faults(self.rng("faults"), self.mood, self._waves):
            self._plan(max(0.0, fault.at), self._befall, fault)
        for wave in self._waves:
            self._plan(wave - 10, self._arm, True)
            self._plan(wave + WINDOW_SECONDS, self._arm, False)
            for _ in range(self._rng.randint(0, DEEDS_PER_WAVE_MAX)):
                self._plan(wave + self._rng.uniform(-20, 90), self._deed)
        healed_at = self._waves[-1] + WINDOW_SECONDS + 10
        self._plan(healed_at, self._heal)
        for second in range(1, TAKEN_UP_WITHIN_SECONDS + 1):
            self._plan(healed_at + second, self._see_who_holds)
        self.story.healed_at = healed_at
        until = healed_at + SETTLES_WITHIN_SECONDS
        self.loop.run(lambda: self.loop.time() > healed_at + TAKEN_UP_WITHIN_SECONDS + 1 and self._is_at_rest(), until)
        self.story.ended_at = self.loop.time()
        self._read_tables()

    def end(self) -> None:
        """Take everything apart."""
        self._armed = False
        self.story.broken.extend(self.loop.broken)
        for process in self.alive.values():
            self.loop.kill(process)
        for process in (*self._dead, *self.alive.values()):
            self.loop.bury(process)

    def _furnish(self) -> None:
        rng = self._rng
        count = rng.randint(3, 7)
        made = []
        for number in range(1, count + 1):
            place = ENDPOINTS[rng.random() < 0.3].name
            made.append(a_server(number, endpoint=place, group_id=rng.choice(("g1", "g2", None))))
            self.servers.add(f"h{number}")
        with self.database.transaction() as tx:
            insert_projects(tx)
            fleet.replace_inventory(tx, PROJECT, made, [a_group("g1"), a_group("g2")])
            fleet.replace_endpoints(
                tx,
                [
                    nouns.Reach(name=one.name, driver=one.driver, site=one.site, concurrency_max=one.concurrency_max)
                    for one in ENDPOINTS
                ],
            )
        self._people = People(
            self,
            self.rng("people"),
            ProcessDatabase(self, self.database, Process("people")),
            late_limits=LATE_LIMITS,
            new_id=self.new_id,
            server_ids=[server.server_id for server in made],
            groups=["g1", "g2", "g3"],
        )
        for _ in range(rng.randint(2, 5)):
            self._people.create()

    def _plan(self, at: float, what: Callable[..., object], *arguments: object) -> None:
        self._events.append(at)
        self.loop.call_at(at, what, *arguments, context=Context())

    def _arm(self, armed: bool) -> None:
        self._armed = armed
        self._broker.lossy = armed and self.mood.lossy
        self._wake()

    def _deed(self) -> None:
        self._people.do_something()
        self._wake()

    def _wake(self) -> None:
        for engine in self._broker.engines:
            engine.wake()

    # Processes

    def _start(self, name: str) -> None:
        earlier = self.alive.get(name)
        if earlier is not None and not earlier.dead:
            return
        if earlier is not None:
            self._dead.append(earlier)
        self._lives += 1
        process = self.alive[name] = Process(name, self._lives)
        self.say(process, "starts")
        if name in self._engines:
            start_engine(self, process, self._broker, late_limits=LATE_LIMITS, scheduler=self.plant.scheduler)
        else:
            start_worker(self, process, self._broker, places=ENDPOINTS, config=CONFIG, line=self.plant.worker_line)

    def _kill(self, process: Process, seconds: float) -> None:
        if process.dead:
            return
        self.say(process, "is killed")
        self._broker.engines = [engine for engine in self._broker.engines if engine.process is not process]
        self.loop.kill(process)
        self.later(seconds, self._start, process.name)

    def _freeze(self, process: Process, seconds: float) -> None:
        if process.dead or process.frozen:
            return
        self.say(process, f"is frozen for {seconds:.1f} s")
        process.frozen = True
        self.later(seconds, self._thaw, process)

    def _thaw(self, process: Process) -> None:
        if process.frozen and not process.dead:
            self.say(process, "is thawed")
            self.loop.thaw(process)

    def later(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        """Let something happen whoever is dead by then."""
        self.loop.call_later(seconds, what, *arguments, context=Context())

    # Accidents

    def _befall(self, fault: Fault) -> None:
        self.story.count(fault.kind)
        self.say("world", f"{fault.kind} ({fault.seconds:.1f})")
        if not self._befall_a_process(fault):
            self._befall_what_all_need(fault)
        self._wake()

    def _befall_a_process(self, fault: Fault) -> bool:
        engine = self.alive[_pick(self._engines, fault.pick)]
        worker = self.alive[_pick(self._workers, fault.pick)]
        match fault.kind:
            case Kind.ENGINE_KILLED:
                self._kill(engine, fault.seconds)
            case Kind.WORKER_KILLED:
                self._kill(worker, fault.seconds)
            case Kind.ALL_KILLED:
                for process in list(self.alive.values()):
                    self._kill(process, fault.seconds)
            case Kind.ENGINE_FROZEN:
                self._freeze(engine, fault.seconds)
            case Kind.WORKER_FROZEN:
                self._freeze(worker, fault.seconds)
            case Kind.WORKER_DRAINED:
                if worker.drain is not None and not worker.dead:
                    self.loop.spawn(worker, worker.drain(fault.seconds / 2))
                    self.later(fault.seconds, self._kill, worker, 0.2)
            case Kind.WORKER_CLOCK:
                self._worker_offsets[worker.name] = fault.seconds
            case _:
                return False
        return True

    def _befall_what_all_need(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.DATABASE_AWAY:
                self.database_away += 1
                self.later(fault.seconds, self._database_back)
            case Kind.LINE_CUT | Kind.LINE_AWAY:
                name = "*" if fault.kind is Kind.LINE_AWAY else _pick([*self._engines, *self._workers], fault.pick)
                self._broker.cut.add(name)
                self.later(fault.seconds, self._broker.cut.discard, name)
            case Kind.LINE_WIPED:
                self._broker.wipe()
                self.story.wipes.append(self.loop.time())
            case Kind.ENGINE_CLOCK:
                self._engine_offset = fault.seconds
            case Kind.EVERY_CLOCK:
                self._offset += fault.seconds
            case _:
                handle = _pick(list(self.servers.by_handle), fault.pick)
                self.servers.unreachable.add(handle)
                self.later(fault.seconds, self.servers.unreachable.discard, handle)

    def _database_back(self) -> None:
        self.database_away = max(0, self.database_away - 1)

    def _heal(self) -> None:
        self.say("world", "is whole again")
        self._broker.lossy = self._armed = self.servers.troubled = False
        self._broker.cut.clear()
        self.database_away = 0
        self.servers.unreachable.clear()
        for name in (*self._engines, *self._workers):
            self._thaw(self.alive[name])
            self._start(name)
        self._unheld = dict.fromkeys(self._live(), False)
        self._wake()

    def _see_who_holds(self) -> None:
        live = set(self._live())
        for reference in self._unheld:
            holder = self._broker.holder(reference)
            if reference not in live or (holder is not None and not holder.process.dead and holder.has(reference)):
                self._unheld[reference] = True
        self.story.holdings = [Holding(reference=key, held=held) for key, held in self._unheld.items()]

    # What the parts ask of the world

    def say(self, who: object, what: str) -> None:
        """Add a line to the trace."""
        self.story.trace.append(f"{self.loop.time():12.3f} {who}: {what}")

    def engine_clock(self) -> datetime:
        """What the engines' clock says: that of the database."""
        now = _whole(DAWN + timedelta(seconds=self.loop.time() + self._offset + self._engine_offset))
        self.engine_clock_max = max(now, self.engine_clock_max)
        return now

    def worker_clock(self, process: Process) -> Callable[[], datetime]:
        """A worker's own clock, about right."""
        self._worker_offsets.setdefault(process.name, self.rng(f"skew/{process.name}").uniform(-2, 2))
        return lambda: _whole(
            DAWN + timedelta(seconds=self.loop.time() + self._offset + self._worker_offsets[process.name])
        )

    def new_id(self) -> str:
        """An id that sorts by its time."""
        self._ids += 1
        ms = int(self.engine_clock().timestamp() * 1000)
        return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{self._ids & 0xFFF:03x}-8000-{self._ids:012x}"

    def gate(self, process: Process, where: str) -> None:
        """Let others act here, or die."""
        if process.strand is None:
            return
        if self.in_transaction:
            self.story.broken.append(f"{process} called the line in the middle of a transaction, at {where}")
            return
        self.peril(process, where)
        if self._armed and self._nature.random() < self.mood.freezes:
            self.story.count("frozen at a step")
            self._freeze(process, self._nature.uniform(0.5, 40))
        if process.frozen or self._nature.random() < self.mood.waits:
            self.pause(process, self._nature.choice((0.0, 0.002, self._nature.uniform(0, 0.3))))

    def peril(self, process: Process, where: str) -> None:
        """Go on or die, but let nobody else act."""
        if process.strand is None:
            return
        if self._armed and not process.dead and self._nature.random() < self.mood.dies:
            self.story.count("killed at a step")
            self.say(process, f"dies: {where}")
            self._kill(process, self._nature.uniform(0.2, 20))
        if process.dead:
            raise Died

    def pause(self, process: Process, seconds: float) -> None:
        """Let so much time pass for a synchronous process, or die."""
        if process.strand is not None:
            process.strand.pause(seconds)

    async def step(self, process: Process, where: str) -> None:
        """Go on if the process neither dies nor freezes here."""
        if not self._armed:
            return
        drawn = self._nature.random()
        if drawn < self.mood.dies:
            self.story.count("killed at a step")
            self.say(process, f"dies: {where}")
            self._kill(process, self._nature.uniform(0.2, 20))
            await self.loop.create_future()
        elif drawn < self.mood.dies + self.mood.freezes:
            self.story.count("frozen at a step")
            self._freeze(process, self._nature.uniform(0.5, 40))
            await asyncio.sleep(0)

    def answer_to_commit(self, process: Process) -> Answer:
        """What is heard of this commit."""
        if not self._armed or process.strand is None or self._nature.random() >= self.mood.answer_lost:
            return Answer.HEARD
        self.story.count("answer to a commit lost")
        return self._nature.choice((Answer.LOST, Answer.LOST, Answer.UNDONE))

    def idle_seconds(self) -> float:
        """How long nothing is going to happen: little while anything is under way."""
        now = self.loop.time()
        coming = [at for at in self._events if at > now]
        with self.database.snapshot() as tx:
            (unfinished,) = tx.execute("SELECT count(*) FROM executions WHERE ended_at IS NULL").fetchone()
            (fire_at,) = tx.execute("SELECT min(next_fire_at) FROM tasks WHERE next_fire_at IS NOT NULL").fetchone()
        if unfinished:
            return self._nature.uniform(0.2, 0.8)
        if fire_at is not None:
            coming.append(now + (datetime.fromisoformat(fire_at) - self.engine_clock()).total_seconds())
        return max(0.2, min(coming, default=now + 60) - now + self._nature.uniform(0, 0.1))

    def recorded(self, reference: Reference, endpoint: str, handle: str) -> Recorded:
        """What is committed about this subtask and this server now."""
        with self.database.snapshot() as tx:
            row = tx.execute(
                f"SELECT {subtasks.ROWS.columns} FROM subtasks WHERE execution_id = ? AND ordinal = ?",  # noqa: S608  (our own names)
                reference,
            ).fetchone()
            others = tx.execute(
                """
                SELECT execution_id, ordinal FROM subtasks WHERE endpoint = ? AND handle = ?
                AND began_at IS NOT NULL AND ended_at IS NULL AND NOT (execution_id = ? AND ordinal = ?)
                """,
                (endpoint, handle, *reference),
            ).fetchall()
            (live,) = tx.execute("SELECT count(*) FROM live_actions WHERE endpoint = ?", (endpoint,)).fetchone()
        return Recorded(subtask=None if row is None else subtasks.ROWS.read(row), others=others, live_at_endpoint=live)

    # The tables

    def _live(self) -> list[Reference]:
        with self.database.snapshot() as tx:
            found: list[Reference] = tx.execute(
                "SELECT execution_id, ordinal FROM live_actions ORDER BY execution_id, ordinal"
            ).fetchall()
        return found

    def _is_at_rest(self) -> bool:
        if not self._broker.is_at_rest():
            return False
        with self.database.snapshot() as tx:
            (unfinished,) = tx.execute("SELECT count(*) FROM executions WHERE ended_at IS NULL").fetchone()
            (due,) = tx.execute(
                "SELECT count(*) FROM tasks WHERE next_fire_at <= ?", (text_of(self.engine_clock()),)
            ).fetchone()
        return not unfinished and not due

    def _read_tables(self) -> None:
        story = self.story
        story.engine_clock = self.engine_clock()
        with self.database.snapshot() as tx:
            story.tasks = _all(tx, tasks.ROWS, "task_id")
            story.executions = _all(tx, executions.ROWS, "execution_id")
            story.subtasks = _all(tx, subtasks.ROWS, "execution_id, ordinal")
            records = tx.execute("SELECT execution_id, record FROM executions").fetchall()
        story.records = {key: None if record is None else bytes(record) for key, record in records}
        story.live = self._live()


def _all(tx: Transaction, rows: Rows[Noun], order: str) -> list[Noun]:
    found = tx.execute(f"SELECT {rows.columns} FROM {rows.table} ORDER BY {order}")  # noqa: S608  (our own names)
    return [rows.read(row) for row in found]


def _pick(names: list[str], share: float) -> str:
    return names[int(share * len(names))]


def _whole(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


class _Listener(logging.Handler):
    """Notes what our own code caught and did not expect."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.ERROR)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Constrained | Unavailable):
            self._story.broken.append(f"logged: {record.getMessage()}: {error!r}")


@contextmanager
def _listening(story: Story) -> Iterator[None]:
    logger = logging.getLogger("fleetcron")
    level, propagate = logger.level, logger.propagate
    listener = _Listener(story)
    logger.addHandler(listener)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = propagate
