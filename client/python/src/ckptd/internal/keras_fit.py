"""One fit of a Keras model: a run for all the callbacks in it that name the same one.

Keras knows several ModelCheckpoints in one fit; the daemon knows one trainer with several policies.
The callbacks join by the model they are given, which Keras does before training begins.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Any, Optional, Protocol

from ckptd import v1
from ckptd.checkpoint import Checkpoint
from ckptd.client import Client
from ckptd.errors import Error, SaveError, make_error
from ckptd.internal import keras_files
from ckptd.internal.download import write_durably
from ckptd.internal.late_decisions import Moment, improves
from ckptd.internal.local_winners import LocalWinners, Template, check_is_no_folder
from ckptd.internal.parts import PartContent, Snapshot
from ckptd.internal.run_names import RunChoice, choose_run
from ckptd.internal.words import print_decision, print_notice
from ckptd.policy import CheckpointPolicy
from ckptd.run import Run

# What the reference raises when a file name cannot be made.
_NAME_ERRORS: dict[str, type[Exception]] = {
    "ERROR_REASON_TEMPLATE_KEY": KeyError,
    "ERROR_REASON_TEMPLATE_INDEX": IndexError,
    "ERROR_REASON_TEMPLATE_TYPE": TypeError,
    "ERROR_REASON_TEMPLATE_ATTRIBUTE": AttributeError,
}


class Member(Protocol):
    """A callback."""

    model: Any
    server: Optional[str]
    run_name: Optional[str]
    resume: bool
    on_unavailable: str
    monitor: str
    save_best_only: bool
    save_weights_only: bool
    load_weights_on_restart: bool
    wants_batches: bool
    template: Template
    format: str

    def policy(self, taken: Collection[str]) -> CheckpointPolicy: ...


_lock = threading.Lock()
# The fits of each model that are to begin or under way, by server and run.
_fits: weakref.WeakKeyDictionary[Any, dict[Any, Fit]] = weakref.WeakKeyDictionary()


class Fit:
    """Of the training thread, but for what uploads call."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._by_policy: dict[str, Member] = {}
        self._run: Optional[Run] = None
        self._winners = LocalWinners()
        self._raised: Optional[Exception] = None  # while a snapshot was taken
        self._without: dict[str, float] = {}  # best values that no daemon knows of, by policy

    @staticmethod
    def join(model: Any, member: Member) -> Fit:
        """The one that the callbacks of this fit share."""
        key = (member.server, member.run_name)
        with _lock:
            fits = _fits.setdefault(model, {})
            found = fits.get(key)
            broken_off = found if found is not None and found._run is not None else None
            if found is None or broken_off is not None:
                found = fits[key] = Fit()
        if broken_off is not None:
            broken_off._close()
        if not any(one is member for one in found._members):
            found._members.append(member)
        return found

    def leads(self, member: Member) -> bool:
        return self._members[0] is member

    def leads_batches(self, member: Member) -> bool:
        return next((one for one in self._members if one.wants_batches), None) is member

    @property
    def run(self) -> Run:
        assert self._run is not None, "training has not begun"
        return self._run

    def begin(self) -> None:
        """Starts the run, and goes on where it was interrupted."""
        lead = self._members[0]
        policies: list[CheckpointPolicy] = []
        for member in self._members:
            policies.append(member.policy([policy.name for policy in policies]))
            self._by_policy[policies[-1].name] = member
        with Client(lead.server) as client:
            choice = choose_run(client, lead.run_name, resume=lead.resume)
            resumed = self._restore(client, choice, lead) if choice.found is not None else None
            self._run = Run(
                choice.name,
                policies=policies,
                weights=self._serialize,
                server=lead.server,
                start="resume" if lead.resume else "fresh",
                resumed_from=None if resumed is None else resumed.id,
                on_unavailable=lead.on_unavailable,
                print_decision=self._print,
                on_committed=self._place,
                on_lost=self._decide_without,
            )
            if choice.found is not None and lead.resume:
                self._place_known_winners(client, choice.name)
        for texts in self._run.warnings.values():
            for text in texts:
                warnings.warn(text, stacklevel=4)
        self._run.on_train_begin()

    def serve(self, decision: v1.Decision) -> None:
        """Raises what the reference would."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        for policy in decision.policies:
            if policy.HasField("error"):
                reason = v1.ErrorReason.Name(policy.error.reason)
                raise _NAME_ERRORS.get(reason, ValueError)(policy.error.message)

    def end(self) -> None:
        lead = self._members[0]
        with _lock:
            _fits.get(lead.model, {}).pop((lead.server, lead.run_name), None)
        self.run.on_train_end()
        self._close()

    def _close(self) -> None:
        try:
            self.run.close()
        except SaveError as error:
            warnings.warn(
                f"not every checkpoint was saved and put in place: {error}",
                RuntimeWarning,
                stacklevel=4,
            )

    # ---- Going on.

    def _restore(self, client: Client, choice: RunChoice, lead: Member) -> Optional[Checkpoint]:
        """Loads the newest checkpoint of an interrupted run into the model."""
        if not (choice.interrupted and lead.resume) and not lead.load_weights_on_restart:
            return None
        model = lead.model
        try:
            newest = client.checkpoint(choice.name, "latest")
            if not getattr(model, "built", True):
                raise ValueError("the model is not built yet; call it on a batch before fit")
            keras_files.load(model, newest.read(), newest.filepath)
        except Exception as error:
            if getattr(error, "reason", "") != "ALIAS_UNRESOLVED":  # else nothing was saved yet
                print_notice(f"training begins anew, {choice.name} cannot be gone on with: {error}")
            return None
        if choice.interrupted and lead.resume:
            model._initial_epoch = newest.next_epoch
            print_notice(
                f"goes on with {choice.name} after epoch {newest.next_epoch}, from"
                f" {newest.filepath} (resume=False begins anew)"
            )
        return newest

    def _place_known_winners(self, client: Client, run: str) -> None:
        """What an earlier process was told is saved is where the script looks for it, even if that
        process was killed before it could put it there."""
        for state in self.run.info.policy_states:
            member = self._by_policy.get(state.policy)
            if member is None or not state.best_checkpoint_id:
                continue
            try:
                checkpoint = client.checkpoint(run, state.best_checkpoint_id)
                for placement in checkpoint.message.placements:
                    if placement.policy == state.policy:
                        path = member.template.local(placement.filepath)
                        content = checkpoint.read()
                        self._winners.place(path, checkpoint.id, iter([content]))
            except (Error, OSError) as error:
                print_notice(f"the best of {run} cannot be put in place: {error}")

    # ---- What the run calls.

    def _serialize(self, save: v1.Checkpoint) -> PartContent:
        """On the training thread."""
        weights_only = save.payload == v1.Checkpoint.PAYLOAD_WEIGHTS
        members = [
            self._by_policy[p.policy] for p in save.placements if p.policy in self._by_policy
        ]
        members = members or [m for m in self._members if m.save_weights_only == weights_only]
        try:
            for placement in save.placements:
                if placement.policy in self._by_policy:
                    template = self._by_policy[placement.policy].template
                    check_is_no_folder(template.local(placement.filepath))
            ending = members[0].format if members else ".weights.h5"
            return keras_files.serialize(self._members[0].model, ending)
        except Exception as error:
            self._raised = error
            raise

    def _print(self, decision: v1.Decision) -> None:
        """With the script's own paths."""
        shown = v1.Decision()
        shown.CopyFrom(decision)
        for policy in shown.policies:
            member = self._by_policy.get(policy.policy)
            if member is not None and policy.filepath and policy.message.endswith(policy.filepath):
                path = member.template.local(policy.filepath)
                policy.message = policy.message[: -len(policy.filepath)] + path
        print_decision(shown)

    def _place(self, committed: v1.Checkpoint, snapshot: Snapshot) -> None:
        """On an upload's thread."""
        number = int(committed.name.rsplit("/", 1)[1])
        for placement in committed.placements:
            member = self._by_policy.get(placement.policy)
            if member is not None:
                path = member.template.local(placement.filepath)
                try:
                    self._winners.place(path, number, iter([snapshot.parts[0].view]))
                except OSError as error:
                    message = f"the daemon has it, but it cannot be put at {path}: {error}"
                    print_notice(f"{committed.name}: {message}")  # training may take long yet
                    raise make_error("FAILED_PRECONDITION", message) from None

    def _decide_without(self, moment: Moment) -> None:
        """No daemon came back: the script finds what it would have without one. Only epoch ends;
        which batch was due is not known."""
        if moment.event.kind != v1.Event.KIND_EPOCH_END:
            return
        states = {state.policy: state.best for state in self.run.info.policy_states}
        for name, member in self._by_policy.items():
            best = self._without.get(name, states.get(name))
            payload = v1.Checkpoint.PAYLOAD_FULL
            if member.save_weights_only:
                payload = v1.Checkpoint.PAYLOAD_WEIGHTS
            snapshot = moment.snapshots.get(payload)
            if snapshot is None or not improves(member.policy(()), moment.logs, best):
                continue
            if member.save_best_only:
                self._without[name] = moment.logs[member.monitor]
            path = member.template.filepath.format(epoch=moment.event.epoch + 1, **moment.logs)
            write_durably(Path(path), iter([snapshot.parts[0].view]))
            print_notice(f"{path} is written without a daemon")
