# %% [markdown]
# # Day 1: a pretrained network, three strategies
#
# A network that has seen a million photos knows edges, textures and parts. Three ways to use it on pictures of your
# own: train a new last layer on top of it (feature extraction), go on training all of it (fine-tuning), or take the
# architecture alone and begin with random weights (from scratch). Here on 2,000 pictures of CIFAR-10, ten kinds of
# things in 32×32 pixels.
#
# The same by commands:
#
# ```sh
# edge backbones
# edge compare --data cifar10 --limit 2000 --image-size 96 --backbone mobilenet_v2 --epochs 3
# edge export
# ```

# %%
import sys

from PIL import Image

from edge_vision import Callback, TrainSettings, compare, find_backbone

QUICK = "--quick" in sys.argv  # as the project's tests run it
BACKBONE = find_backbone("mobilenet_v2")
print(f"{BACKBONE.name}: {BACKBONE.parameters:,} parameters, {BACKBONE.imagenet_top1:.1f} % on ImageNet")
print(BACKBONE.advice)

settings = TrainSettings(
    data="cifar10",  # downloaded once, 163 MB; or a folder with a folder for each class
    limit=200 if QUICK else 2000,
    image_size=64 if QUICK else 96,
    backbone=BACKBONE.name,
    epochs=1 if QUICK else 3,
)

# %% [markdown]
# A callback hears how each run goes; this one prints its epochs.


# %%
class PrintEpochs(Callback):
    def on_start(self, run):
        print(f"\n{run.card.strategy}")

    def on_epoch(self, epoch):
        found = epoch.figures
        print(f"  epoch {epoch.epoch}: loss {found['train_loss']:.3f}, validation {found['val_accuracy']:.1%}")


comparison = compare(settings, callbacks=[PrintEpochs()])

# %% [markdown]
# Validation chose the epochs and the strategy; the test pictures had no part in either, so test accuracy is the
# figure to quote.

# %%
print(f"\n{'strategy':<20}{'validation':>11}{'test':>8}{'95 % interval':>18}{'seconds':>9}{'trained':>11}")
for row in comparison.rows:
    low, high = row.test_interval
    interval = f"{low:.1%} to {high:.1%}"
    print(f"{row.strategy:<20}{row.val_accuracy:>11.1%}{row.test_accuracy:>8.1%}{interval:>18}", end="")
    print(f"{row.seconds:>9.0f}{row.parameters_trained:>11,}")
print(f"\nbest for export: {comparison.best}. {comparison.why}")
Image.open(comparison.folder / "comparison.png")

# %% [markdown]
# **Question.** From scratch trains the same architecture on the same pictures. Why does it end so far behind?
#
# *Answer.* Its two million parameters start as noise, and 2,000 small pictures in three epochs are too few to learn
# from them what an edge, a wheel or an ear is. The other two start with that knowledge. With all 50,000 pictures and
# many epochs it catches up: the gap is one of data and time, not of what the architecture can do.
