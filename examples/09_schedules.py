# %% [markdown]
# # Exercise: schedules compared
#
# Five ways to change the learning rate over a run, and what each does to the loss: one picture of both.
#
# The same by commands:
#
# ```sh
# edge train --data shapes --backbone resnet18 --strategy scratch --image-size 32 --batch-size 16 --epochs 10 \
#     --schedule constant
# edge train --data shapes --backbone resnet18 --strategy scratch --image-size 32 --batch-size 16 --epochs 10 \
#     --schedule one-cycle
# ```

# %%
import sys
from dataclasses import replace

import matplotlib.pyplot as plt

from edge_vision import Callback, TrainSettings, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
SCHEDULES = ("constant", "one-cycle") if QUICK else ("constant", "step", "plateau", "cosine", "one-cycle")
settings = TrainSettings(
    data="shapes",
    backbone="resnet18",
    strategy="scratch",
    image_size=32,
    batch_size=16,
    epochs=2 if QUICK else 10,
    limit=90 if QUICK else None,
)


class Rates(Callback):
    """Hears every step, and the rate that it was taken at."""

    def __init__(self):
        self.rates = []

    def on_batch(self, batch):
        self.rates.append(batch.learning_rate)


results, rates = {}, {}
for name in SCHEDULES:
    heard = Rates()
    results[name] = train(replace(settings, schedule=name), callbacks=[heard])
    rates[name] = heard.rates

# %%
figure, (upper, lower) = plt.subplots(2, figsize=(8, 7), sharex=True, layout="constrained")
for name, result in results.items():
    steps = len(rates[name]) / settings.epochs
    upper.plot([step / steps for step in range(len(rates[name]))], rates[name], label=name)
    lower.plot([epoch.epoch for epoch in result.history], [epoch.val_loss for epoch in result.history], "o-")
upper.set(ylabel="learning rate", title="The rate by epoch, and what validation makes of it")
upper.legend()
lower.set(xlabel="epoch", ylabel="validation loss")
figure.savefig("schedules.png")

# %%
print(f"{'schedule':<11}{'best epoch':>11}{'validation loss':>17}{'test':>8}{'95 % interval':>18}")
for name, result in results.items():
    test, best = result.summary["metrics"]["test"], result.summary["best_epoch"]
    low, high = test["accuracy_interval_95"]
    interval = f"{low:.1%} to {high:.1%}"
    print(f"{name:<11}{best:>11}{result.history[best - 1].val_loss:>17.3f}{test['accuracy']:>8.1%}{interval:>18}")

# %% [markdown]
# **Question.** Where in the picture do step and plateau stop learning, and why is a rate that stays high ahead of
# them here?
#
# *Answer.* Where their rate falls to a tenth: from there on their loss hardly moves. A small rate settles what has
# been learned, and after five epochs from scratch that is not much yet; the constant rate is still on its way down.
# Give all of them 40 epochs, or a pretrained network, and the ones that fall late catch up. One run each on 60
# pictures cannot rank the schedules anyway: look at the intervals.
