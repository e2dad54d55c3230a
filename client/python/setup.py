"""Compiles the contract before anything is built. All else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))
import contract

contract.generate()
setup()
