# %% [markdown]
# # Exercise: distillation
#
# A network that knows its work teaches one that does not: the student learns from the labels and from the teacher's
# answers, which say more than a label does (a square, and rather like a circle). Here a ResNet-18 that has seen a
# million photos teaches one that starts from random weights and has 90 drawn shapes. The student may be another,
# smaller network.
#
# The same by commands, in which `runs/of-the-teacher` stands for the folder that the first training prints:
#
# ```sh
# edge data shapes --out few-shapes --counts 90,150,150
# edge train --data few-shapes --image-size 64 --batch-size 16 --backbone resnet18 --strategy fine-tune --epochs 8
# edge train --data few-shapes --image-size 64 --batch-size 16 --backbone resnet18 --strategy scratch --epochs 20
# edge train --data few-shapes --image-size 64 --batch-size 16 --backbone resnet18 --strategy scratch --epochs 20 \
#     --teacher runs/of-the-teacher --teacher-weight 0.9 --teacher-temperature 4
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
    image_size=64,
    batch_size=16,
    backbone="resnet18",
    strategy="fine-tune",
    epochs=1 if QUICK else 8,
)
results = {"teacher": train(settings)}

# %% [markdown]
# The same student twice, alone and with the teacher; the seed, the pictures and their split are the same.

# %%
student = replace(settings, strategy="scratch", epochs=1 if QUICK else 20)
results["student alone"] = train(student)
taught = replace(student, teacher=str(results["teacher"].run.path), teacher_weight=0.9, teacher_temperature=4)
results["student, taught"] = train(taught)

# %%
print(f"{'':<17}{'training':>9}{'validation':>12}{'test':>8}{'95 % interval':>18}")
for name, result in results.items():
    validation, test = (result.summary["metrics"][split] for split in ("val", "test"))
    low, high = test["accuracy_interval_95"]
    best = result.history[result.summary["best_epoch"] - 1]
    print(f"{name:<17}{best.train_accuracy:>9.1%}{validation['accuracy']:>12.1%}{test['accuracy']:>8.1%}", end="")
    print(f"{f'{low:.1%} to {high:.1%}':>18}")

# %% [markdown]
# **Question.** Teacher and labels agree on nearly every training picture. What does the student learn from the
# teacher that the labels do not tell it?
#
# *Answer.* How sure to be. A label calls every triangle a triangle, the blunt one that is nearly a square, too, and
# the student ends up sure of all 90, many of them learned by heart. The teacher's answers, softened by the
# temperature, tell the clear cases from the close ones, and answer each augmented view anew. It helps where the
# student can fit the pictures at all: a ShuffleNet that 30 epochs had left at two in five right gained nothing.
