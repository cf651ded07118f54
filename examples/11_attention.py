# %% [markdown]
# # Exercise: attention
#
# A small block behind each stage weighs the stage's channels by what the whole picture shows: squeeze-and-excitation
# (SE), the lighter ECA, and CBAM, which weighs places, too. Here the blocks begin as the identity, so the pretrained
# network answers as before, bit for bit, until training moves them.
#
# The same by commands:
#
# ```sh
# edge backbones resnet18 --attention se
# edge train --data cifar10 --limit 1000 --image-size 64 --backbone resnet18 --strategy fine-tune --epochs 4
# edge train --data cifar10 --limit 1000 --image-size 64 --backbone resnet18 --strategy fine-tune --epochs 4 \
#     --attention se
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
    epochs=1 if QUICK else 4,
)
KINDS = ("none", "se") if QUICK else ("none", "eca", "se", "cbam")
results = {kind: train(replace(settings, attention=kind)) for kind in KINDS}

# %%
plain = results["none"].summary["parameters"]
print(f"{'attention':<11}{'more parameters':>16}{'seconds':>9}{'validation':>12}{'test':>8}{'95 % interval':>18}")
for kind, result in results.items():
    more = result.summary["parameters"] - plain
    seconds = sum(epoch.seconds for epoch in result.history)
    validation, test = (result.summary["metrics"][split] for split in ("val", "test"))
    low, high = test["accuracy_interval_95"]
    print(f"{kind:<11}{more:>16,}{seconds:>9.0f}{validation['accuracy']:>12.1%}{test['accuracy']:>8.1%}", end="")
    print(f"{f'{low:.1%} to {high:.1%}':>18}")

# %% [markdown]
# **Question.** Before training all four networks give the same answers, bit for bit. Does the table show that
# attention helps?
#
# *Answer.* Look at the intervals first: they overlap, so which row is ahead may be chance: 170 test pictures are few.
# What the table does show is the price, in parameters and in seconds. The blocks begin as the identity, so they
# can only be as good as what a few epochs make of them: attention is worth a try where there are many pictures and
# long runs, measured with several seeds.
