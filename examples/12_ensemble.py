# %% [markdown]
# # Exercise: an ensemble, in one file
#
# Networks that were trained apart make different mistakes, and the mean of their answers makes fewer, for as much
# work as all of them together. Here three networks from scratch that differ in nothing but the seed; the ensemble is
# one file that is used as any other.
#
# The same by commands, in which `runs/first` and so on stand for the folders that the trainings print (`edge average`
# averages the weights of runs that fine-tuned one network instead: no more work than one):
#
# ```sh
# edge data shapes --out few-shapes --counts 90,150,150
# edge train --data few-shapes --backbone resnet18 --strategy scratch --image-size 64 --batch-size 16 \
#     --epochs 15 --seed 0       # and once more with --seed 1, and with --seed 2
# edge export --run runs/first --run runs/second --run runs/third --out ensemble.onnx
# edge evaluate --model ensemble.onnx --run runs/first
# ```

# %%
import sys
from dataclasses import replace
from pathlib import Path

from edge_vision import Classifier, TrainSettings, choose_evaluation, draw_shapes, evaluate, export, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
folder = Path("few-shapes-quick" if QUICK else "few-shapes")
if not folder.exists():
    draw_shapes(folder, counts=(24, 9, 9) if QUICK else (90, 150, 150))

settings = TrainSettings(
    data=str(folder),
    backbone="shufflenet_v2_x0_5" if QUICK else "resnet18",
    strategy="scratch",
    image_size=64,
    batch_size=16,
    epochs=1 if QUICK else 15,
)
runs = [train(replace(settings, seed=seed)).run for seed in range(2 if QUICK else 3)]

# %% [markdown]
# One file of each run, and one of all: the mean of their probabilities is a node of its graph.

# %%
files = {f"seed {seed}": export(run)[0].path for seed, run in enumerate(runs)}
files["together"] = export(runs, out=Path("ensemble.onnx"))[0].path

# %%
answers = {}
print(f"{'model':<10}{'test':>7}{'95 % interval':>18}{'log loss':>10}{'file':>10}")
for name, path in files.items():
    classifier = Classifier(path)
    held_out = choose_evaluation(classifier.card, runs[0])
    answers[name] = evaluate(classifier, held_out.root, held_out.samples)
    found = answers[name].metrics
    low, high = found.interval
    print(f"{name:<10}{found.accuracy:>7.1%}{f'{low:.1%} to {high:.1%}':>18}{found.log_loss:>10.3f}", end="")
    print(f"{path.stat().st_size / 1e6:>7.1f} MB")

# %% [markdown]
# Where the first two are wrong: if it were on the same pictures, an average could not help.

# %%
one, other = (answers[f"seed {seed}"].probabilities.argmax(axis=1) != answers["together"].truth for seed in range(2))
print(f"of {len(one)} test pictures wrong: {one.sum()} and {other.sum()}, both of them {(one & other).sum()}")

# %% [markdown]
# **Question.** One of the seeds may have done better than all together. Would you export that one instead?
#
# *Answer.* No. Nothing but luck sets the three apart, and you know which was lucky from the test pictures alone:
# whoever chooses by them has no figure left to quote, and the next pictures will be fairer. What can be relied on is
# the mean: the ensemble is better than its average member, in accuracy and in log loss. It costs three files and
# three times the work.
