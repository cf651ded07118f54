# %% [markdown]
# # Exercise: augmentation on and off
#
# An augmented picture is a new one for free: turned, cut, brighter, and still a triangle. Few pictures and a network
# with eleven million parameters is where it has most to do: 90 drawn shapes, trained from scratch.
#
# The same by commands:
#
# ```sh
# edge data shapes --out few-shapes --counts 90,150,150
# edge data preview --data few-shapes --augment strong --out augmented.png
# edge train --data few-shapes --backbone resnet18 --strategy scratch --image-size 64 --batch-size 16 --epochs 20 \
#     --augment none
# edge train --data few-shapes --backbone resnet18 --strategy scratch --image-size 64 --batch-size 16 --epochs 20 \
#     --augment strong
# ```

# %%
import sys
from dataclasses import replace
from pathlib import Path

from edge_vision import TrainSettings, draw_shapes, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
folder = Path("few-shapes-quick" if QUICK else "few-shapes")
if not folder.exists():
    draw_shapes(folder, counts=(24, 9, 9) if QUICK else (90, 150, 150))

settings = TrainSettings(
    data=str(folder),
    backbone="resnet18",
    strategy="scratch",
    image_size=64,
    batch_size=16,
    epochs=1 if QUICK else 20,
)

# %%
results = {}
for name in ("none", "light") if QUICK else ("none", "light", "standard", "strong"):
    results[name] = train(replace(settings, augment=name))

# %% [markdown]
# Accuracy on training pictures beside that on pictures that were never shown: the gap is what was learned by heart.

# %%
print(f"{'augment':<10}{'training':>10}{'validation':>12}{'test':>8}{'95 % interval':>18}")
for name, result in results.items():
    best = result.history[result.summary["best_epoch"] - 1]
    test = result.summary["metrics"]["test"]
    low, high = test["accuracy_interval_95"]
    interval = f"{low:.1%} to {high:.1%}"
    print(f"{name:<10}{best.train_accuracy:>10.1%}{best.val_accuracy:>12.1%}{test['accuracy']:>8.1%}{interval:>18}")

# %% [markdown]
# **Question.** The gap between training and validation is smallest with the strongest augmentation. Is that the best
# choice?
#
# *Answer.* Not by itself. The gap says what was learned by heart, and without augmentation that is nearly every
# training picture. But strong augmentation makes the lesson harder: its training accuracy is low, too, so in 20
# epochs it has not learned enough yet, and wants more of them. And look at the intervals before you call any of these
# the winner: with 150 test pictures they overlap.
