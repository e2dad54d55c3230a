#!/usr/bin/env python3
"""Writes test vectors of str.format, as this Python executes it, to standard output.

    make_python_format_vectors.py [--count N] [--seed N] > testdata/python_format.jsonl

One JSON object a line: "t" the template, "v" the variables ("NaN", "Infinity" and "-Infinity" for
what JSON cannot hold), and either "out" or "err" and "msg", the exception's type and text. Left out
are templates that ckptd refuses on purpose (widths and precisions over its limits) or that Python
versions disagree about (the option z of 3.11).
"""

import argparse
import json
import math
import random
import re
import struct

MAX_WIDTH = 32
MAX_PRECISION = 20
SPEC = re.compile(r"(?:.?[<>=^])?[ +-]?(z?)#?0?(\d*)[,_]*(?:\.(\d+))?", re.DOTALL)

NAMES = ["loss", "epoch", "val/loss", "a b", "é", "batch"]
INT_NAMES = ["epoch", "batch"]
FILLS = ["", "", "*", "0", " ", "é", "→", "😀", "{", "}", "<", ".", "_", "/", "+", "z"]
FLOAT_TYPES = ["", "e", "E", "f", "F", "g", "G", "n", "%"]
INT_TYPES = ["", "b", "c", "d", "o", "x", "X", "n"]
OTHER_TYPES = ["s", "r", "q", "é", ",", "1"]
# Written by hand: what random templates seldom hit.
CORNERS = [
    "", "plain", "{{", "}}", "{{}}", "{", "}", "{{{", "}}}", "{}", "{0}", "{7}", "{00}", "{ }", "{!r}",
    "{:}", "{loss", "{loss:", "{loss!", "{loss!}", "{loss!r", "{loss!r:", "{loss!rr}", "{loss!x}",
    "{loss!é}", "{loss! }", "{loss!\x7f}", "{loss!r!s}", "{loss:{", "{loss:{}}", "{loss:{{}}}",
    "{loss:}}", "{loss}}", "{loss:{epoch:{batch}}}", "{loss:{epoch:{batch:{epoch}}}}", "{a{b}",
    "{loss[}", "{loss[]}", "{loss[0]}", "{loss[x]y}", "{loss[99999999999999999999]}", "{loss.}",
    "{loss..real}", "{loss.real.imag}", "{loss.foo}", "{epoch.numerator}", "{epoch.denominator:03}",
    "{loss.numerator}", "{epoch.imag}", "{loss.imag}", "{.real}", "{[0]}", "{99999999999999999999}",
    "{nope}", "{nope}{", "{it's}", "{say \"it's\"}", "{tab\t}", "{line\n}", "{back\\slash}", "{nope.real}",
    "{nope[]}", "{\u2028}", "{\u00ad}", "{ö}", "{-1}", "{1a}", "{loss]}", "{loss!r:>{epoch}}",
    "{loss:.{epoch}f}", "{loss:{epoch}.{batch}f}", "{loss:{epoch}}", "{loss:,_}", "{loss:_,}", "{loss:,,}",
    "{epoch:__}", "{epoch:,x}", "{epoch:_x}", "{epoch:,n}", "{loss:.}", "{loss:.f}", "{loss:5.}", "{loss:xx}",
    "{loss:#}", "{loss:#.0f}", "{loss:#g}", "{loss:#.3g}", "{loss:.0}", "{loss:.0g}", "{loss:.0e}", "{loss:#.0e}",
    "{loss:#.0%}", "{loss: 05}", "{loss:=+8}", "{loss:0=8}", "{loss:<08}", "{loss:^08}", "{epoch:08,}",
    "{epoch:09,}", "{epoch:+010_}", "{epoch:#010x}", "{epoch:#_b}", "{epoch:020_b}", "{epoch:0}", "{epoch:00}",
    "{epoch:000}", "{epoch:=c}", "{epoch:5c}", "{epoch:+c}", "{epoch:#c}", "{epoch:,c}", "{epoch:.2c}",
    "{epoch!r:05}", "{epoch!r:=5}", "{epoch!r:+}", "{epoch!r: }", "{epoch!r:#}", "{epoch!r:,}", "{epoch!s:.1}",
    "{epoch!a:^7.2s}", "{loss!s:d}", "{a b}", "{val/loss:.3f}", "{ loss}", "{loss }", "{loss: }", "{loss::}",
    "{loss::>9}", "{loss:}>9}", "{loss:{{>9}", "{loss:>9}>", "x{{y}}-{epoch:>4}",
]


class OutOfScope(Exception):
  """The template is one that the vectors leave out."""


def check_spec(spec):
  z, width, precision = SPEC.match(spec).groups()
  if z or int(width or 0) > MAX_WIDTH or int(precision or 0) > MAX_PRECISION:
    raise OutOfScope


def watched(base):
  """A subclass of `base` that looks at every specification it is formatted with."""

  def format_(self, spec):
    check_spec(spec)
    return base.__format__(self, spec)

  members = {"__format__": format_}
  if base is not str:
    for name in ("__repr__", "__str__"):
      members[name] = lambda self: WatchedStr(base.__repr__(self))
    for name in ("real", "imag", "numerator", "denominator"):
      if hasattr(base, name):
        members[name] = property(lambda self, name=name: watch(getattr(base(self), name)))
  return type(base.__name__, (base,), members)


WatchedStr = watched(str)
WATCHED = {int: watched(int), float: watched(float)}


def watch(value):
  return WATCHED[type(value)](value)


def random_float(rng):
  choice = rng.randrange(9)
  if choice == 0:
    return struct.unpack("<d", rng.randbytes(8))[0]
  if choice == 1:
    return rng.choice([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308,
                       2.2250738585072014e-308, 1e16, 9999999999999998.0, 1e22, 1e23, 0.1, 123456789.0])
  if choice == 2:
    return rng.choice([0.125, 2.675, 0.5, 1.5, 2.5, 0.375, 1.005, 1e-5, 0.0001, 0.00001, 99999.5, 999999.5,
                       0.99999, 9.5, 0.05, 0.25, 1e15, 123456.0, 1234567.0])
  if choice == 3:
    return rng.uniform(-2, 2) * 10.0 ** rng.randint(-30, 30)
  if choice == 4:
    return float(rng.randint(-10**6, 10**6))
  if choice == 5:
    return rng.randint(-10**6, 10**6) / 2.0 ** rng.randint(0, 12)
  return round(rng.uniform(-3, 3), rng.randint(0, 6))


def random_int(rng):
  choice = rng.randrange(5)
  if choice == 0:
    return rng.choice([0, 1, -1, 9, 10, 999, 1000, -1000, 2**63 - 1, -2**63, 65, 0x10FFFF, 0x110000, 2**53])
  if choice == 1:
    return rng.randint(-2**63, 2**63 - 1)
  if choice == 2:
    return rng.randint(-10**7, 10**7)
  return rng.randint(1, 40)


def random_number(rng, limit, depth):
  if depth < 3 and rng.random() < 0.05:
    return random_field(rng, depth)
  return str(rng.randint(0, limit))


def random_spec(rng, depth, kind):
  """A specification that mostly fits values of `kind`: int, float or str."""
  wild = rng.random() < 0.15
  types = {int: INT_TYPES + FLOAT_TYPES[1:], float: FLOAT_TYPES, str: ["", "s"]}[kind]
  type_ = rng.choice(INT_TYPES + FLOAT_TYPES + OTHER_TYPES if wild else types)
  text_like = kind is str or type_ == "c"
  spec = ""
  if rng.random() < 0.5:
    spec += rng.choice(FILLS) + rng.choice("<>^" if text_like and not wild else "<>=^")
  if rng.random() < 0.3 and (wild or not text_like):
    spec += rng.choice("+- ")
  if rng.random() < 0.2 and (wild or not text_like):
    spec += "#"
  if rng.random() < 0.3:
    spec += "0"
  if rng.random() < 0.6:
    spec += random_number(rng, MAX_WIDTH, depth)
  if rng.random() < 0.3 and (wild or type_ and type_ in "deEfFgG%"):
    spec += rng.choice(",_")
  if rng.random() < 0.5 and (wild or kind is str or type_ in FLOAT_TYPES and kind is float):
    spec += "." + random_number(rng, MAX_PRECISION, depth)
  return spec + type_


def random_field(rng, depth=0):
  name = rng.choice(NAMES)
  kind = int if name in INT_NAMES else float
  if rng.random() < 0.05:
    name = rng.choice(["nope", "", "0", "loss.real", "epoch.imag", "epoch.foo", "loss[1]", "é.real", "x'y"])
  conversion = ""
  if rng.random() < 0.12:
    conversion = "!" + rng.choice("rsa")
    kind = str
  spec = ":" + random_spec(rng, depth + 1, kind) if rng.random() < 0.85 else ""
  return "{" + name + conversion + spec + "}"


def random_template(rng):
  template = ""
  for _ in range(rng.choice([1, 1, 2])):
    template += rng.choice(["", "", "w-", "é", "{{", "}}", "a/b."]) + random_field(rng)
  if rng.random() < 0.1:  # damage it
    at = rng.randrange(len(template))
    template = template[:at] + rng.choice(["", "{", "}", ":", "!", "[", "]", ".", "0", " "]) + template[at + 1:]
  return template


def as_json(value):
  if isinstance(value, float) and not math.isfinite(value):
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
  return value


def vector(template, variables):
  """The vector of a template, or None if it is out of scope."""
  record = {"t": template, "v": {name: as_json(value) for name, value in variables.items()}}
  try:
    template.format(**{name: watch(value) for name, value in variables.items()})
  except OutOfScope:
    return None
  except Exception:  # pylint: disable=broad-except
    pass  # the plain values below tell which
  try:
    record["out"] = template.format(**variables)
  except Exception as error:  # pylint: disable=broad-except
    record["err"] = type(error).__name__
    record["msg"] = str(error)
  if any(0xD800 <= ord(c) < 0xE000 for c in record.get("out", "")):
    return None
  return record


def vectors(count, seed):
  rng = random.Random(seed)
  made = 0
  corners = list(CORNERS)
  while made < count:
    variables = {name: random_int(rng) if name in INT_NAMES or rng.random() < 0.2 else random_float(rng)
                 for name in NAMES}
    template = corners.pop(0) if corners else random_template(rng)
    used = {name: value for name, value in variables.items() if name in template}
    record = vector(template, used)
    if record is not None:
      made += 1
      yield record


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--count", type=int, default=4000)
  parser.add_argument("--seed", type=int, default=29)
  arguments = parser.parse_args()
  for record in vectors(arguments.count, arguments.seed):
    print(json.dumps(record, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
  main()
