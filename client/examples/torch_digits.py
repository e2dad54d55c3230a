"""Trains a small network on hand-written digits with a plain PyTorch loop.

The daemon keeps the best weights and the newest state:

    ckptd &                                   # or: export CKPT_SERVER=HOST:PORT
    python3 client/examples/torch_digits.py --run digits

Kill it and start it again: it goes on after the last epoch that was saved, with the weights, the
optimizer and the order of the images that it would have had.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from ckptd import CheckpointPolicy, best
from ckptd.torch import load_state, load_weights, save_state, start_run

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--run", default="torch_digits")
parser.add_argument("--epochs", type=int, default=15)
arguments = parser.parse_args()

data = np.loadtxt(Path(__file__).with_name("digits.csv"), delimiter=",", dtype=np.float32)
images, labels = torch.tensor(data[:, :64] / 16), torch.tensor(data[:, 64]).long()
train_images, train_labels = images[:1400], labels[:1400]
validation_images, validation_labels = images[1400:], labels[1400:]

torch.manual_seed(7)
model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
loss_of = torch.nn.CrossEntropyLoss()
policies = [
    CheckpointPolicy("best", "best.safetensors", save_best_only=True, save_weights_only=True),
    CheckpointPolicy("last", "last.safetensors"),
]


def validate() -> float:
    with torch.no_grad():
        return loss_of(model(validation_images), validation_labels).item()


loaded = load_state(arguments.run, model, optimizer)  # None: nothing is saved yet
first_epoch = loaded.next_epoch if loaded else 0
with start_run(arguments.run, policies=policies, resumed_from=loaded) as run:
    run.on_train_begin()
    for epoch in range(first_epoch, arguments.epochs):
        run.on_epoch_begin(epoch)
        order = torch.randperm(1400, generator=torch.Generator().manual_seed(epoch))
        for chosen in order.split(50):
            optimizer.zero_grad()
            loss_of(model(train_images[chosen]), train_labels[chosen]).backward()
            optimizer.step()
        val_loss = validate()
        print(f"epoch {epoch + 1}: val_loss {val_loss:.6f}", flush=True)
        save_state(run, model, optimizer, epoch=epoch, logs={"val_loss": val_loss})
    run.on_train_end()

load_weights(best(arguments.run, policy="best"), model)
print(f"best val_loss {validate():.6f}")
