"""Work on a cluster: what workers are told, and what becomes of the units that they make."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.budget import Budget, read_budget
from taesd_stream.engine.loaded_model import Action, coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.errors import InputError, Interrupted, OutputError, TaesdStreamError
from taesd_stream.jobs.cluster.crew import Crew, Order
from taesd_stream.jobs.cluster.dispatch import Dispatch
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.joined_cluster import Cluster, joined
from taesd_stream.jobs.cluster.model_copy import ModelCopy
from taesd_stream.jobs.cluster.sharing import Sharing
from taesd_stream.jobs.cluster.units import Content, Job
from taesd_stream.jobs.cluster.worker import SharedFolder
from taesd_stream.jobs.model_for_latents import Model
from taesd_stream.jobs.resume.finished import OutputFile
from taesd_stream.jobs.resume.journal import folder_of
from tiling import TilePlan

__all__ = ["ClusterWork", "check_fresh", "telling_what_is_kept"]


@dataclass(frozen=True, slots=True)
class ClusterWork:
    """Work that is planned here and made on a cluster.

    Attributes:
        address: Of the cluster, or "auto".
        ae: The model.
        action: Which half of it is at work.
        model: What it was loaded from; None is the official one for the channels.
        model_options: How.
        options: How the work is cut into tiles.
        plan: The plan of the whole.
        sharing: How workers get what it is made of.
    """

    address: str
    ae: AutoEncoder
    action: Action
    model: Model | None
    model_options: ModelOptions
    options: TileOptions
    plan: TilePlan
    sharing: Sharing

    def joined(self) -> AbstractContextManager[Cluster]:
        """The cluster, for as long as the block lasts."""
        return joined(self.address, self.ae.settings.device.type, self.options.threads)

    def options_on(self, cluster: Cluster) -> TileOptions:
        """The options of tiles for a worker: the tiles of the plan, on its own cores."""
        options, plan = self.options, self.plan
        if plan.overlap == "exact":
            options = replace(options, tile=(plan.tile.height, plan.tile.width))
        budget = read_budget(options.memory, self.ae.settings.device)
        if not budget.is_firm:
            budget = Budget(budget.bytes // cluster.most_of_a_node, is_firm=False)
        threads = cluster.cores if cluster.device == "cpu" else options.threads
        return replace(options, threads=threads, memory=budget)

    def make(
        self,
        cluster: Cluster,
        finished: FinishedUnits,
        job: Job,
        needed_by: Callable[[int], range],
        on_progress: Callable[[float], None],
    ) -> None:
        """Have every unit made that is not there yet.

        Args:
            cluster: By whom.
            finished: What is there, and is kept.
            job: What.
            needed_by: The numbers of the latents, or frames, that a unit is made of.
            on_progress: Told how many units are done, parts of them included.

        Raises:
            TaesdStreamError: What a worker has raised, three times for one unit.
        """
        left = [unit for unit in range(job.count) if unit not in finished.numbers]

        def take(unit: int, content: Content, worker: str) -> None:
            try:
                job.take(unit, content, finished.folder, worker)
            except OSError as error:
                raise OutputError(f"cannot write {finished.folder}: {error.strerror}") from error
            finished.note(unit)

        if not left:
            return
        with _token_in(finished.folder) as shared:
            told = (self._model(), job, self.sharing.stored, shared)
            order = Order(
                *(told, needed_by, self.sharing.piece_of, take, on_progress), folder=finished.folder
            )
            with Crew(cluster, order) as crew:
                crew.carry_out(Dispatch(left), len(finished.numbers))

    def _model(self) -> ModelCopy:
        settings = coder_of(self.ae, self.action).settings_of(self.plan)
        return ModelCopy.of(self.ae, self.action, settings, self.model, self.model_options)


def check_fresh(output: OutputFile) -> None:
    """Refuse to begin anew what an unfinished run has left some of.

    Raises:
        InputError: That.
    """
    folder = folder_of(output.path)
    if not output.resume and folder.is_dir():
        raise InputError(
            f"cluster: an unfinished run of {output.path} is kept in {folder}: give --resume"
            " (resume=True in Python) to go on, or remove the folder to begin anew"
        )


@contextmanager
def _token_in(folder: Path) -> Iterator[SharedFolder]:
    """A file in a folder, by which who sees it knows that they see the same."""
    token = folder / f"token-{secrets.token_hex(8)}"
    token.touch()
    try:
        yield SharedFolder(str(folder.absolute()), token.name)
    finally:
        token.unlink(missing_ok=True)


@contextmanager
def telling_what_is_kept(finished: FinishedUnits, count: int) -> Iterator[None]:
    """Whatever ends the block says what is kept of so many units, and where.

    Raises:
        Interrupted: For Ctrl-C.
    """

    def kept() -> str:
        return (
            f"{len(finished.numbers)} of {count} parts are kept in {finished.folder}; give the same"
            " command once more, with --resume (resume=True in Python), to go on"
        )

    try:
        yield
    except Interrupted as error:
        raise Interrupted(f"{error}; {kept()}") from error
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; {kept()}") from error
    except TaesdStreamError as error:
        error.add_note(kept())
        raise
