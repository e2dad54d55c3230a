"""Pytrees there and back."""

from __future__ import annotations

import unittest
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from daemon import DaemonTestCase

import ckptd
from ckptd.jax import load_state, pack, save_state, unpack


def tree(scale: float) -> Any:
    return {
        "params": [{"w": jnp.full((2, 3), scale, jnp.bfloat16)}, (jnp.arange(3) * scale,)],
        "step": np.int64(scale),
    }


class Pytrees(DaemonTestCase):
    def test_save_and_go_on(self) -> None:
        server = self.daemon.server
        self.assertIsNone(load_state("r", like=tree(0), server=server))
        policy = ckptd.CheckpointPolicy("last", "last.safetensors")
        with ckptd.Run("r", policies=[policy], server=server) as run:
            save_state(run, tree(3), epoch=4, logs={"loss": jnp.float32(0.5)})
        loaded = load_state("r", like=tree(0), server=server)
        assert loaded is not None
        state, checkpoint = loaded
        self.assertEqual((checkpoint.next_epoch, checkpoint.metrics), (5, {"loss": 0.5}))
        same = jax.tree_util.tree_map(lambda a, b: bool((a == b).all()), state, tree(3))
        self.assertTrue(all(jax.tree_util.tree_leaves(same)))
        self.assertIsInstance(state["params"][0]["w"], jax.Array)

    def test_what_does_not_fit_is_named(self) -> None:
        content = pack({"a": jnp.zeros(2), "b": jnp.zeros(1)}).to_bytes()
        for like, words in (
            ({"a": jnp.zeros(2)}, r"a leaf \['b'\] that the program has not"),
            ({"a": jnp.zeros(2), "b": jnp.zeros(1), "c": jnp.zeros(1)}, r"no leaf \['c'\]"),
            ({"a": jnp.zeros(3), "b": jnp.zeros(1)}, r"leaf \['a'\] is float32\[2\] in the"),
        ):
            with self.subTest(words=words), self.assertRaisesRegex(ValueError, words):
                unpack(content, like)
        with self.assertRaisesRegex(TypeError, "key"):
            pack({"rng": jax.random.key(1)})


if __name__ == "__main__":
    unittest.main()
