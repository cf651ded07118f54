# %% [markdown]
# # Exercise: several tasks, one network
#
# A picture is asked two questions: which shape, and which colour? One backbone answers both, with a head for each.
# The labels are a list with a column for each task. A picture with an empty cell teaches the other task alone.
#
# The same by commands, once this script has drawn the list and its pictures:
#
# ```sh
# edge data check tasks/labels.csv --tasks shape,colour
# edge train --data tasks/labels.csv --tasks shape,colour --backbone resnet18 --image-size 64 \
#     --strategy feature-extraction --epochs 15
# edge export
# edge predict tasks/0001.png
# ```

# %%
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from edge_vision import Classifier, TrainSettings, export, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
CORNERS = {"circle": 48, "square": 4, "triangle": 3}
COLOURS = {"blue": (40, 70, 200), "green": (40, 160, 70), "red": (210, 50, 40)}


def draw_tasks(folder, count):
    folder.mkdir(exist_ok=True)
    chance, lines = random.Random(0), ["path,shape,colour"]
    for number in range(count):
        shape, colour = chance.choice(list(CORNERS)), chance.choice(list(COLOURS))
        picture = Image.new("RGB", (64, 64), (chance.randint(215, 255),) * 3)
        size, x, y = chance.randint(20, 36), chance.randint(4, 24), chance.randint(4, 24)
        circle, turn = (x + size / 2, y + size / 2, size / 2), chance.randint(-20, 20)
        ImageDraw.Draw(picture).regular_polygon(circle, CORNERS[shape], turn, COLOURS[colour])
        picture.save(folder / f"{number:04}.png")
        lines.append(f"{number:04}.png,{shape},{'' if chance.random() < 0.3 else colour}")
    (folder / "labels.csv").write_text("\n".join(lines))


folder = Path("tasks-quick" if QUICK else "tasks")
if not (folder / "labels.csv").exists():
    draw_tasks(folder, 90 if QUICK else 400)
print("".join((folder / "labels.csv").read_text().splitlines(keepends=True)[:4]))

# %%
settings = TrainSettings(
    data=str(folder / "labels.csv"),
    tasks=("shape", "colour"),
    backbone="resnet18",
    strategy="feature-extraction",
    image_size=64,
    epochs=2 if QUICK else 15,
)
result = train(settings)

# %%
test = result.summary["metrics"]["test"]
print(f"{'task':<9}{'test':>7}{'of':>5}{'95 % interval':>18}")
for task, found in test["tasks"].items():
    low, high = found["accuracy_interval_95"]
    print(f"{task:<9}{found['accuracy']:>7.1%}{found['n']:>5}{f'{low:.1%} to {high:.1%}':>18}")

# %%
classifier = Classifier(export(result.run)[0].path)
answer = classifier.predict(folder / "0001.png")
for task, part in answer.tasks.items():
    print(f"{task:<9}{part.label:<10}{part.probability:.1%}")
Image.open(folder / "0001.png").resize((256, 256))

# %% [markdown]
# **Question.** Three pictures in ten have no colour in the list. What do they do to the part that answers colours?
#
# *Answer.* Nothing: where a task has no label its loss is left out, and so is the picture from that task's accuracy,
# whose n is smaller. They are not wasted: they teach the shape, and where the backbone learns, too, what it learns
# from them serves both questions.
