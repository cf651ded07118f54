# %% [markdown]
# # Exercise: mixup
#
# Two pictures laid over each other, 70 % cat and 30 % frog, and the answer wanted is 70 % cat and 30 % frog (Zhang et
# al. 2018). No network can learn such pictures by heart. CutMix (Yun et al. 2019) pastes a piece of one into the
# other.
#
# The same by commands:
#
# ```sh
# edge train --data cifar10 --limit 1000 --image-size 64 --backbone resnet18 --strategy fine-tune --epochs 6
# edge train --data cifar10 --limit 1000 --image-size 64 --backbone resnet18 --strategy fine-tune --epochs 6 --mixup 0.2
# edge train --data cifar10 --limit 1000 --image-size 64 --backbone resnet18 --strategy fine-tune --epochs 6 --cutmix 1
# ```

# %%
import sys
from dataclasses import replace

from edge_vision import TrainSettings, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
settings = TrainSettings(
    data="cifar10",
    limit=100 if QUICK else 1000,
    image_size=64,
    backbone="resnet18",
    strategy="fine-tune",
    epochs=1 if QUICK else 6,
)
VARIANTS = {"neither": {}, "mixup 0.2": {"mixup": 0.2}, "CutMix 1": {"cutmix": 1.0}}
results = {name: train(replace(settings, **changes)) for name, changes in VARIANTS.items()}

# %% [markdown]
# Training accuracy is not in the table: of blended pictures it means something else. The losses by epoch tell the
# story.

# %%
print(f"{'':<12}{'training loss, first to last':>30}{'validation loss':>17}{'test':>8}{'95 % interval':>18}")
for name, result in results.items():
    first, last = result.history[0].train_loss, result.history[-1].train_loss
    test = result.summary["metrics"]["test"]
    low, high = test["accuracy_interval_95"]
    print(f"{name:<12}{f'{first:.2f} to {last:.2f}':>30}{result.history[-1].val_loss:>17.3f}", end="")
    print(f"{test['accuracy']:>8.1%}{f'{low:.1%} to {high:.1%}':>18}")

# %% [markdown]
# **Question.** With mixup or CutMix the training loss ends far higher than without. Has the network learned less?
#
# *Answer.* It was asked something harder. A blend of two pictures with a blend of two answers cannot have a loss of
# 0, however well it is answered, and no blend comes twice, so it cannot be learned by heart either. Compare
# validation: without blending the training loss runs away from it, with blending it does not. What that is worth
# shows in long runs; in six epochs of fine-tuning mixup and neither have intervals that overlap, and CutMix, the
# harder lesson, is still behind.
