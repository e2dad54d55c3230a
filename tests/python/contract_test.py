"""The package's view of the contract."""

from __future__ import annotations

import dataclasses
import gc
import unittest
import weakref

import ckptd
from ckptd import v1
from ckptd.internal.channel import callable_for, make_channel


class Contract(unittest.TestCase):
    def test_policies_mirror_the_contract(self) -> None:
        for mirror, message in (
            (ckptd.CheckpointPolicy, v1.CheckpointPolicy),
            (ckptd.StorageOptions, v1.StorageOptions),
        ):
            names = [field.name for field in dataclasses.fields(mirror)]
            self.assertEqual(names, [field.name for field in message.DESCRIPTOR.fields])

    def test_messages_and_enums_are_there(self) -> None:
        checkpoint = v1.Checkpoint(name="runs/r/checkpoints/1", metrics={"val_loss": 0.5})
        self.assertEqual(v1.Checkpoint.FromString(checkpoint.SerializeToString()), checkpoint)
        self.assertEqual(v1.ErrorReason.Name(32), "ERROR_REASON_WRITER_FENCED")
        with self.assertRaisesRegex(AttributeError, "Chekpoint"):
            _ = v1.Chekpoint

    def test_no_class_is_ever_collected(self) -> None:
        # Another thread could get it while it is being taken apart, and would crash.
        run = v1.Run(create_time={"seconds": 1}, labels={"a": "b"})
        classes = [
            weakref.ref(message)
            for message in (
                type(run.create_time),
                run.DESCRIPTOR.fields_by_name["labels"].message_type._concrete_class,
                v1.message_class("google.rpc.ErrorInfo"),
                v1.message_class("ckpt.v1.GetStatusRequest"),
            )
        ]
        del run
        gc.collect()
        self.assertNotIn(None, [message() for message in classes])

    def test_every_method_that_is_called_exists(self) -> None:
        channel = make_channel("127.0.0.1:1", bulk=False)
        self.addCleanup(channel.close)
        for service, name in (
            ("TrainingService", "Train"),
            ("WeightService", "Upload"),
            ("WeightService", "Download"),
            ("CatalogService", "ListEvents"),
        ):
            self.assertTrue(callable(callable_for(channel, service, name)))
        with self.assertRaises(KeyError):
            callable_for(channel, "CatalogService", "ListTunes")


if __name__ == "__main__":
    unittest.main()
