# %% [markdown]
# # Exercise: other backbones
#
# Accuracy is one column of several. The same pictures, the same strategy, two networks: what each gets right, how
# large its file is, and how long a picture takes on this machine.
#
# The same by commands:
#
# ```sh
# edge backbones
# edge train --data cifar10 --limit 1500 --image-size 96 --strategy feature-extraction --backbone resnet18
# edge export
# edge bench --backbones mobilenet_v2,resnet18
# ```

# %%
import sys

from edge_vision import BenchSettings, Contestant, TrainSettings, bench, export, find_backbone, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
NAMES = ("mobilenet_v2",) if QUICK else ("mobilenet_v2", "resnet18")  # add others of `edge backbones`

results, files = {}, {}
for name in NAMES:
    settings = TrainSettings(
        data="cifar10",
        limit=300 if QUICK else 1500,
        image_size=64 if QUICK else 96,
        backbone=name,
        strategy="feature-extraction",
        epochs=2 if QUICK else 5,
    )
    results[name] = train(settings)
    files[name] = export(results[name].run)[0]

# %% [markdown]
# Each file is started in a process of its own, by turns, so that neither has the warmer machine.

# %%
measured = bench(
    [Contestant(name, file.path) for name, file in files.items()],
    BenchSettings(duration_s=0.2 if QUICK else 1, least_runs=10 if QUICK else 100, cold_starts=1),
)
latency = {row.name: row.latency for row in measured.rows}

# %%
print(f"{'backbone':<16}{'test':>7}{'95 % interval':>17}{'ImageNet':>10}{'parameters':>12}{'file':>9}{'p90':>9}")
for name, result in results.items():
    test = result.summary["metrics"]["test"]
    low, high = test["accuracy_interval_95"]
    interval, published = f"{low:.1%} to {high:.1%}", f"{find_backbone(name).imagenet_top1:.1f} %"
    print(f"{name:<16}{test['accuracy']:>7.1%}{interval:>17}{published:>10}{result.summary['parameters']:>12,}", end="")
    print(f"{files[name].size_bytes / 1e6:>6.1f} MB{latency[name].p90_ms:>6.1f} ms")

# %% [markdown]
# **Question.** Which of the two would you put on a Raspberry Pi?
#
# *Answer.* The one that is small and quick, unless the intervals say that the other is clearly more accurate. Here
# MobileNetV2 has a fifth of the file and answers in less than half the time, and its accuracy is no worse. The
# published ImageNet accuracy did not tell that: what counts is your pictures, at your size, on your machine. Measure
# int8, too (`edge export --precision int8`): it speeds ResNets up far more than MobileNets.
