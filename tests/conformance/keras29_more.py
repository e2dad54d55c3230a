#!/usr/bin/env python3
"""Writes random cases, and what the reference callback makes of them, to standard output.

    pip download keras==2.9.0 --no-deps && unzip keras-2.9.0*.whl keras/callbacks.py
    pip install 'numpy<2'
    keras29_more.py keras/callbacks.py [--seed N] [--count N] > keras29_more.jsonl
    keras29_more.py keras/callbacks.py --again keras29.jsonl    # records the cases of a file again

The format is that of README.md. Only the class ModelCheckpoint of the given file is executed; what
it uses of TensorFlow is replaced by recorders. Left out are cases that ckptd answers differently on
purpose (server/policy/README.md).
"""

import argparse
import ast
import json
import math
import os
import random
import re
import types

import numpy as np


class Journal:
  """What the callback did since the last `clear`."""

  def __init__(self):
    self.clear()

  def clear(self):
    self.warnings = []
    self.messages = []
    self.saves = []


JOURNAL = Journal()


class Model:
  distribute_strategy = None

  def save(self, path, overwrite, options):
    JOURNAL.saves.append(("full", path))

  def save_weights(self, path, overwrite, options):
    JOURNAL.saves.append(("weights", path))


def load_callback(path):
  with open(path, encoding="utf-8") as file:
    module = ast.parse(file.read())
  classes = [node for node in module.body if getattr(node, "name", "") == "ModelCheckpoint"]
  classes[0].decorator_list = []
  namespace = types.SimpleNamespace
  scope = {
      "Callback": object,
      "np": np,
      "os": os,
      "re": re,
      "tf": namespace(train=namespace(CheckpointOptions=object),
                      saved_model=namespace(SaveOptions=object)),
      "logging": namespace(warning=lambda text, *args: JOURNAL.warnings.append(text % args)),
      "io_utils": namespace(path_to_string=lambda path: path, print_msg=print_message),
      "tf_utils": namespace(sync_to_numpy_or_python_type=lambda logs: logs),
      "distributed_file_utils": namespace(write_filepath=lambda path, strategy: path,
                                          remove_temp_dir_with_filepath=lambda *unused: None),
  }
  exec(compile(ast.Module(classes, []), path, "exec"), scope)
  return scope["ModelCheckpoint"]


def print_message(text):
  JOURNAL.messages.append(text.lstrip("\n"))


def from_json(value):
  return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def to_json(value):
  if math.isfinite(value):
    return value
  return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def feed(callback, event):
  logs = event.get("logs") and {name: from_json(value) for name, value in event["logs"].items()}
  kind = event["type"]
  if kind == "epoch_begin":
    callback.on_epoch_begin(event["epoch"])
  elif kind == "batch_end":
    callback.on_train_batch_end(event["batch"], logs)
  elif kind == "epoch_end":
    callback.on_epoch_end(event["epoch"], logs)
  elif kind == "train_begin":
    callback.on_train_begin()


def observe(callback, event):
  """What the event made the callback do; empty if nothing."""
  JOURNAL.clear()
  seen = {}
  try:
    feed(callback, event)
  except Exception as error:  # of any type: it is what is recorded
    seen["error"] = type(error).__name__
  for payload, filepath in JOURNAL.saves:
    seen.update(action="save", payload=payload, filepath=filepath)
  for message in JOURNAL.messages:
    seen["message"] = message
  for warning in JOURNAL.warnings:
    seen["warning"] = warning
  return seen


def record(callback_class, case):
  """The case with `init` and `expect`."""
  recorded = {**case, "init": {}, "expect": []}
  JOURNAL.clear()
  try:
    callback = callback_class(**{name: from_json(v) for name, v in case["policy"].items()})
  except ValueError as error:
    recorded["init"] = {"init_error": type(error).__name__, "init_message": str(error)}
    return recorded
  recorded["init"]["warnings"] = JOURNAL.warnings[:]
  callback.model = Model()
  for index, event in enumerate(case["events"]):
    seen = observe(callback, event)
    if seen:
      recorded["expect"].append({**seen, "event": index, "best": to_json(callback.best)})
  return recorded


# ---- Random cases.

METRICS = ["loss", "accuracy", "mae", "my_fmeasure", "fmeasure_x", "auc", "val_loss", "val_acc"]
ODD_METRICS = ["val/loss", "a b", "batch", "größe", "损失", "x.y", "x[0]", "0", "self", "a:b", "real", "{",
               "epoch"]
FLOATS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.125, 2.675, 0.5, 2.5, 1e-5, 0.999995, 9.999995, 99.5, 1e15,
          1e16, 1e22, 1 / 3, 5e-324, 2.2250738585072014e-308, 123456789.125, 9999999.5, 100.0, -1.0]
INTS = [0, 1, -1, 7, 255, 1114111, 1114112, 2**31, 2**53, -2**63, 2**63 - 1, 999999, 10**15, 98, 960]
TEMPLATES = ["best.ckpt", "weights.{epoch:02d}.h5", "x{{y}}-{epoch:>4}", "e{epoch:02d}b{batch:02d}.h5",
             "weights.{epoch:02d}-{M:.2f}.hdf5", "raw{M}", "g{M:g}", "pct{M:.1%}", "d{epoch}/w-{M:.3e}.bin",
             "w8{M:8.3f}.h5", "p{M:+.3f}", "n{M:d}", "bad-{nope:.2f}", "bad{epoch:02d", "bad{}", "bad}", "bad{0}"]
LITERALS = ["w", "ep", "-", ".h5", "d/", "./", "{{", "}}", "{{x}}", "%d", "ü", "损", " ", "\\", "'"] * 3 + ["{", "}"]
SUFFIXES = [""] * 24 + ["!r", "!s", "!a", "!x", "!", ".real", ".imag", ".nope", "[0]", ".", "[]"]
MODES = ["auto", "auto", "min", "max", "max", "unknown", "MAX", "größe"]
SAVE_FREQS = ["epoch"] * 8 + [1, 2, 3, 5] * 3 + [10, 0, -1, True, False, 2**53, "weekly", "Epoch", "5"]
THRESHOLDS = [0, 0.0, -0.0, 1, 0.5, -3, 1e-300, 10**6, "NaN", "Infinity", "-Infinity", None]
PERIODS = [1, 2, 3, 4, 0, -1, True, 10**9]


class Dice(random.Random):
  """Draws the parts of a case."""

  def likely(self, probability):
    return self.random() < probability

  def number(self):
    if self.likely(0.3):
      return self.choice(INTS + [self.randint(-20, 20)] * 10)
    if self.likely(0.3):
      return self.choice(FLOATS)
    return self.choice([self.uniform(-1, 3), round(self.uniform(0, 1), 1), round(self.uniform(0, 1), 1)])

  def logs(self, metrics):
    if self.likely(0.03):
      return self.choice([None, {}])
    return {name: to_json(self.number()) for name in metrics if self.likely(0.95)}

  def spec(self):
    parts = [(0.3, ["<", ">", "=", "^", "*<", "é^", "0=", "_>", ":>"]), (0.25, "+- "), (0.1, "#"), (0.2, "0"),
             (0.5, ["1", "3", "8", "12", "20", "32"]), (0.15, ",_"), (0.5, [".0", ".1", ".3", ".6", ".17", ".20"]),
             (0.8, "eEfFgGn%fgefgefgeffgdbcoxXsq")]
    return "".join(self.choice(choices) for probability, choices in parts if self.likely(probability))

  def field(self, metrics):
    name = self.choice(metrics + ["epoch", "batch"] if self.likely(0.95) else ["", "0", "nope"])
    nested = "{epoch}" if self.likely(0.05) else ""
    spec = f":{self.spec()}{nested}" if self.likely(0.7) else ""
    return f"{{{name}{self.choice(SUFFIXES)}{spec}}}"

  def template(self, metrics):
    if self.likely(0.4):
      return self.choice(TEMPLATES).replace("M", self.choice(metrics))
    return "w" + "".join(
        self.field(metrics) if self.likely(0.6) else self.choice(LITERALS) for _ in range(self.randint(1, 3)))

  def policy(self, metrics):
    policy = {"filepath": self.template(metrics), "save_best_only": self.likely(0.6)}
    for argument, probability, choices in [
        ("monitor", 0.8, metrics + ["absent_metric"]), ("verbose", 0.8, [0, 1, 1, 2, -1]), ("mode", 0.7, MODES),
        ("save_weights_only", 0.7, [False, True]), ("save_freq", 0.8, SAVE_FREQS),
        ("initial_value_threshold", 0.25, THRESHOLDS), ("period", 0.2, PERIODS)]:
      if self.likely(probability):
        policy[argument] = self.choice(choices)
    return policy

  def epoch(self, epoch, metrics):
    yield {"type": "epoch_begin", "epoch": epoch}
    batches = list(range(self.randint(0, 2), self.randint(1, 6), self.randint(1, 2)))
    if self.likely(0.1):
      batches = self.choices([0, 1, 5, 100, 2**53], k=4)
    for batch in batches:
      yield {"type": "batch_end", "epoch": epoch, "batch": batch, "logs": self.logs(metrics)}
    if self.likely(0.95):
      yield {"type": "epoch_end", "epoch": epoch, "logs": self.logs(metrics)}

  def events(self, metrics):
    epoch = self.choice([0, 0, 0, 0, 98, 10**6])
    for _ in range(self.randint(1, 2)):
      yield {"type": "train_begin"}
      for _ in range(self.randint(1, 3)):
        yield from self.epoch(epoch, metrics)
        epoch += 1
      if self.likely(0.3):
        yield {"type": "train_end"}
      epoch = self.choice([epoch, 0])

  def case(self, number):
    metrics = ["loss"] + self.sample(METRICS[1:], self.randint(0, 3))
    if self.likely(0.4):
      metrics.append(self.choice(ODD_METRICS))
    return {"id": f"more-{number:05}", "policy": self.policy(metrics), "events": list(self.events(metrics))}


def is_left_out(case):
  """Whether ckptd differs on purpose, or may."""
  if case["policy"]["filepath"].endswith("/"):
    return True
  if re.search(r":[^}]*\d\{", case["policy"]["filepath"]):
    return True  # a width or precision that may be over the limit
  for seen in case["expect"]:
    if seen.get("error") == "OverflowError":
      return True
    components = seen.get("filepath", "w").split("/")
    if components[-1] in ("", ".") or max(len(part.encode()) for part in components) > 255:
      return True
  return False


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("callbacks", help="keras/callbacks.py of Keras 2.9")
  parser.add_argument("--seed", type=int, default=29)
  parser.add_argument("--count", type=int, default=400)
  parser.add_argument("--again", metavar="FILE", help="record the cases of FILE instead of random ones")
  arguments = parser.parse_args()
  callback = load_callback(arguments.callbacks)
  if arguments.again:
    with open(arguments.again, encoding="utf-8") as file:
      for case in map(json.loads, file):
        print(json.dumps(record(callback, case)))
    return
  dice = Dice(arguments.seed)
  written = 0
  while written < arguments.count:
    case = record(callback, dice.case(written))
    if not is_left_out(case):
      print(json.dumps(case, ensure_ascii=False))
      written += 1


if __name__ == "__main__":
  main()
