# %% [markdown]
# # Day 2: a data set of your own, from the folder to the report
#
# A folder for each class is all a data set needs; `train/`, `val/` and `test/` above them are kept where they are
# there, and made where they are not. Here the pictures are drawn: circles, squares and triangles. Then the tools of
# training: augmentation, a schedule of the learning rate, early stopping. No pretrained weights this time, so that
# they have something to do.
#
# The same by commands:
#
# ```sh
# edge data shapes --out drawn --counts 150,90,90
# edge data check drawn
# edge data preview --data drawn --augment light --out augmented.png
# edge train --data drawn --backbone resnet18 --strategy scratch --image-size 64 --batch-size 16 --epochs 40 \
#     --augment light --schedule plateau --patience 5
# ```

# %%
import sys
from pathlib import Path

from edge_vision import TrainSettings, check_data, draw_shapes, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
folder = Path("drawn-quick" if QUICK else "drawn")
if not folder.exists():
    draw_shapes(folder, counts=(30, 18, 18) if QUICK else (150, 90, 90))

# %% [markdown]
# First look at the data: unreadable files, copies, a class with few pictures, the same picture on two sides of the
# split.

# %%
report = check_data(folder)
for split, counts in report.counts.items():
    print(f"{split:<6} {dict(counts)}")
print("\n".join(finding.text for finding in report.findings) or "nothing that would harm training")

# %% [markdown]
# - `augment`: every epoch shows each picture a little otherwise (turned, cut, brighter).
# - `schedule="plateau"`: the learning rate falls when validation stops getting better.
# - `patience`: so many epochs without a better one end the run; the best epoch is kept, not the last.

# %%
settings = TrainSettings(
    data=str(folder),
    backbone="resnet18",
    strategy="scratch",
    image_size=32 if QUICK else 64,
    batch_size=16,
    epochs=2 if QUICK else 40,
    augment="light",
    schedule="plateau",
    patience=2 if QUICK else 5,
)
result = train(settings)

# %%
best = result.summary["best_epoch"]
print(f"{'epoch':>5}{'training loss':>15}{'validation loss':>17}{'validation':>12}")
for epoch in result.history:
    mark = " best" if epoch.epoch == best else ""
    print(f"{epoch.epoch:>5}{epoch.train_loss:>15.3f}{epoch.val_loss:>17.3f}{epoch.val_accuracy:>12.1%}{mark}")
test = result.summary["metrics"]["test"]
print(f"\n{len(result.history)} of {settings.epochs} epochs; test {test['accuracy']:.1%} of {test['n']} pictures")
for said in result.diagnosis:
    print(said.text)
print(f"curves, confusion matrix, mistakes: {result.run.path / 'report.html'}")

# %% [markdown]
# **Question.** The run went on for five epochs without a better one before it stopped. Was that wasted?
#
# *Answer.* No. One bad epoch proves little: look at the validation column, where good and worse ones take turns long
# before the end. `patience` is how many in a row count as proof. The best epoch is what is kept, so waiting costs
# time, never accuracy; too little patience can cost accuracy.
