# %% [markdown]
# # Exercise: learning rates
#
# The most important number of a training. First the search: a few steps at rates that grow from a hundredth to a
# thousand times the usual, and a look at the loss. Then the proof: short runs at too low, the usual and too high a
# rate.
#
# The same by commands:
#
# ```sh
# edge train --data shapes --backbone resnet18 --strategy scratch --image-size 32 --batch-size 16 --find-lr
# edge train --data shapes --backbone resnet18 --strategy scratch --image-size 32 --batch-size 16 --lr-scale 0.01
# edge train --data shapes --backbone resnet18 --strategy scratch --image-size 32 --batch-size 16 --lr-scale 1
# edge train --data shapes --backbone resnet18 --strategy scratch --image-size 32 --batch-size 16 --lr-scale 100
# ```

# %%
import sys
from dataclasses import replace

from PIL import Image

from edge_vision import TrainSettings, find_learning_rate, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
settings = TrainSettings(
    data="shapes",
    backbone="resnet18",
    strategy="scratch",
    image_size=32,
    batch_size=16,
    epochs=1 if QUICK else 6,
    limit=90 if QUICK else None,
    schedule="constant",
)

# %%
search = find_learning_rate(settings)
suggested = search.curve.suggestion
print(f"the loss falls fastest at {suggested} times the usual rates" if suggested else "the loss falls at no rate")
Image.open(search.picture)

# %% [markdown]
# Every rate of the strategy is multiplied by `lr_scale`; everything else stays as it is.

# %%
print(f"{'times':>7}{'rate':>9}  training loss by epoch")
for scale in (1.0,) if QUICK else (0.01, 0.1, 1.0, 10.0, 100.0):
    result = train(replace(settings, lr_scale=scale))
    losses = "".join(f"{epoch.train_loss:>7.2f}" for epoch in result.history)
    validation = result.summary["metrics"]["val"]["accuracy"]
    rate = max(search.curve.rates_at(scale).values())
    print(f"{scale:>7g}{rate:>9.0e}  {losses}   best on validation {validation:.1%}")

# %% [markdown]
# **Question.** Guessing among three classes has a loss of ln 3 = 1.10. At 100 times the usual rate the first epoch's
# loss is far above that. How can learning make a network worse than one that guesses?
#
# *Answer.* The gradient says which way is down here, not how far. A step that is too long lands on the other side of
# the valley and higher up, and the next one, from a steeper place, is longer still: the network gives wrong answers
# with great confidence, which costs more than guessing. At a hundredth of the rate nothing goes wrong, and hardly
# anything happens.
