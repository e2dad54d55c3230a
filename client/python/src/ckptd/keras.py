"""Drop-in for Keras: change `from keras.callbacks import ModelCheckpoint` to

    from ckptd.keras import ModelCheckpoint

and keep the rest of the script. The daemon decides, keeps the winners and remembers the best across
restarts; the winner also appears at the script's own filepath, atomically.
"""

from __future__ import annotations

import inspect
import itertools
import os
import re
import warnings
from collections.abc import Collection, Mapping
from typing import Any, Optional

import keras

from ckptd.checkpoint import Checkpoint
from ckptd.internal import keras_files
from ckptd.internal.arguments import check_type, check_word, unexpected_argument
from ckptd.internal.channel import server_or_default
from ckptd.internal.distributed import is_chief
from ckptd.internal.keras_fit import Fit
from ckptd.internal.local_winners import Template
from ckptd.policy import CheckpointPolicy

_DEPRECATED = ("period", "load_weights_on_restart")
_MAX_POLICY_NAME = 48


def load_weights(checkpoint: Checkpoint, model: Any) -> None:
    """Loads a checkpoint that ModelCheckpoint has made into `model`, and the state of its optimizer
    where the file has it."""
    keras_files.load(model, checkpoint.read(), checkpoint.filepath)


class ModelCheckpoint(keras.callbacks.Callback):
    """Keras's ModelCheckpoint, with the arguments of TensorFlow 2.9's and those of Keras 3's, on a
    daemon. Besides them:

    server: "HOST:PORT" or "unix:PATH"; else $CKPT_SERVER, else 127.0.0.1:7070.
    run: id of the run, which goes on with its best when it exists; else $CKPT_RUN, else the name of
    the script, with a number for each training of it.
    resume: goes on with a run that was interrupted (killed, not ended), as BackupAndRestore does:
    loads its newest checkpoint and begins with the epoch after it. False forgets the run's best.
    on_unavailable: what happens while no daemon answers: "warn" and train on, or "raise"; see
    ckptd.Run.

    The file at `filepath` appears when the daemon has made the checkpoint durable, at the latest
    when fit returns. `.safetensors` is one more ending for weights.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: Optional[float] = None,
        *,
        options: Any = None,
        server: Optional[str] = None,
        run: Optional[str] = None,
        resume: bool = True,
        on_unavailable: str = "warn",
        **deprecated: Any,
    ) -> None:
        super().__init__()
        self.period = deprecated.pop("period", None)
        self.load_weights_on_restart = deprecated.pop("load_weights_on_restart", False)
        for name in deprecated:
            known = [*inspect.signature(ModelCheckpoint).parameters, *_DEPRECATED]
            raise unexpected_argument("ModelCheckpoint", name, known)
        for name in _DEPRECATED:
            if getattr(self, name):
                warnings.warn(f"`{name}` argument is deprecated", stacklevel=2)
        _check_options(options, save_weights_only)
        check_type("monitor", monitor, str)
        check_word("on_unavailable", on_unavailable, ("raise", "warn"))
        server_or_default(server)  # what names none is told here
        self.filepath = os.fspath(filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.mode = mode
        self.save_freq = save_freq
        self.initial_value_threshold = initial_value_threshold
        self.server = server
        self.run_name = run
        self.resume = resume
        self.on_unavailable = on_unavailable
        self.wants_batches = save_freq != "epoch"
        self.template = Template.of(self.filepath)
        self.format = _checked_format(self.filepath, save_weights_only)
        self._fit: Optional[Fit] = None
        self.policy(()).to_message()  # a wrong save_freq is told here

    # ---- What Keras calls. Of the callbacks of one run the first one's word is reported.

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._fit = Fit.join(model, self) if is_chief(model) else None

    def on_train_begin(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        if self._fit is not None and self._fit.leads(self):
            self._fit.begin()

    def on_epoch_begin(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        if self._fit is not None and self._fit.leads(self):
            self._fit.run.on_epoch_begin(epoch)

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        if self._fit is not None and self._fit.leads_batches(self):
            self._fit.serve(self._fit.run.on_batch_end(batch, logs or {}))

    def on_epoch_end(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        if self._fit is not None and self._fit.leads(self):
            self._fit.serve(self._fit.run.on_epoch_end(epoch, logs or {}))

    def on_train_end(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        if self._fit is not None and self._fit.leads(self):
            self._fit.end()

    def _implements_train_batch_hooks(self) -> bool:
        """Asked by Keras 2: without a need, batches are not slowed down."""
        return bool(self.wants_batches)

    # ---- What the fit asks.

    def policy(self, taken: Collection[str]) -> CheckpointPolicy:
        """The policy that this callback is, under a name that is not in `taken`."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(self.filepath))
        name = name.strip("._-")[:_MAX_POLICY_NAME] or "checkpoint"
        numbered = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
        return CheckpointPolicy(
            name=next(one for one in numbered if one not in taken),
            filepath=self.template.remote,
            monitor=self.monitor,
            verbose=self.verbose,
            save_best_only=self.save_best_only,
            save_weights_only=self.save_weights_only,
            mode=self._explicit_mode(),
            save_freq=self.save_freq,
            initial_value_threshold=self.initial_value_threshold,
            period=self.period,
        )

    def _explicit_mode(self) -> str:
        """Keras 3 knows the direction of the model's own metrics; 2.9's rule is by their names."""
        if self.mode in ("min", "max"):
            return self.mode
        return "max" if keras_files.is_maximized(self.model, self.monitor) else self.mode


def _checked_format(filepath: str, save_weights_only: bool) -> str:
    """Errors: ValueError, in the words of Keras 3."""
    found = keras_files.format_of(filepath)
    if save_weights_only and found not in keras_files.WEIGHTS_FORMATS:
        raise ValueError(
            "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided must"
            f" end in `.weights.h5` (Keras weights format). Received: filepath={filepath}"
        )
    if not save_weights_only and not filepath.endswith(keras_files.MODEL_FORMATS):
        raise ValueError(
            "The filepath provided must end in `.keras` (Keras model format)."
            f" Received: filepath={filepath}"
        )
    return found


def _check_options(options: Any, save_weights_only: bool) -> None:
    """The reference takes options of TensorFlow's; they say nothing about the formats of today.
    Errors: TypeError names the type that is expected."""
    if options is None:
        return
    expected = "tf.train.CheckpointOptions" if save_weights_only else "tf.saved_model.SaveOptions"
    if type(options).__name__ != expected.rsplit(".", 1)[1]:
        kind = "weights" if save_weights_only else "the whole model"
        raise TypeError(
            f"If saving {kind}, `options` must be either `None` or an instance of `{expected}`."
            f" Received: options={options!r}"
        )
