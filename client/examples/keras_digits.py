"""Trains a small network on hand-written digits with Keras; the daemon keeps the best of it.

    ckptd &                                   # or: export CKPT_SERVER=HOST:PORT
    python3 client/examples/keras_digits.py

But for its first import from ckptd this is a plain Keras script: it trains, saves the best weights,
and loads them at the end. Kill it and start it again: it goes on, and the best is still the best.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from ckptd.keras import ModelCheckpoint  # was: from keras.callbacks import ModelCheckpoint

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--checkpoint", default="checkpoints/digits.weights.h5")
arguments = parser.parse_args()

data = np.loadtxt(Path(__file__).with_name("digits.csv"), delimiter=",", dtype=np.float32)
images, labels = data[:, :64] / 16, data[:, 64].astype(np.int32)
train, validation = slice(0, 1400), slice(1400, None)

keras.utils.set_random_seed(7)
model = keras.Sequential(
    [
        keras.layers.Input((64,)),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

model_checkpoint_callback = ModelCheckpoint(
    filepath=arguments.checkpoint,
    save_weights_only=True,
    monitor="val_accuracy",
    mode="max",
    save_best_only=True,
)
model.fit(
    images[train],
    labels[train],
    validation_data=(images[validation], labels[validation]),
    epochs=arguments.epochs,
    verbose=2,
    callbacks=[model_checkpoint_callback],
)

# The best weights are where the script has asked for them.
model.load_weights(arguments.checkpoint)
loss, accuracy = model.evaluate(images[validation], labels[validation], verbose=0)
print(f"best val_accuracy {accuracy:.4f}")
