# %% [markdown]
# # Exercise: photos of your own
#
# Put photos into `photos`, a folder for each class: twenty of each will do for a start. Without them drawn shapes
# stand in, so that the rest can be tried. From the folder to one file, and what that file says of a new picture.
#
# The same by commands:
#
# ```sh
# edge data check photos
# edge train --data photos --backbone mobilenet_v2 --folds 5
# edge export
# edge predict new-photo.jpg
# edge explain new-photo.jpg
# ```

# %%
import sys
from pathlib import Path

from PIL import Image

from edge_vision import Classifier, TrainSettings, check_data, draw_shapes, explain_answer, export, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
photos = Path("photos")
if not photos.is_dir():
    stand_in = Path("photos-stand-in")
    if not stand_in.exists():
        draw_shapes(stand_in, counts=(60, 0, 0))
    photos = stand_in / "train"

# %% [markdown]
# Few photos: a validation split would take a fifth of them and say little. With `folds` every photo is answered once
# by a network that has not seen it; then one network learns from all.

# %%
report = check_data(photos)
print(f"{report.images} photos of {', '.join(report.labels)}")
print("\n".join(finding.text for finding in report.findings) or "nothing that would harm training")

settings = TrainSettings(
    data=str(photos),
    backbone="mobilenet_v2",
    strategy="feature-extraction",
    image_size=64 if QUICK else None,
    folds=2 if QUICK else 5,
    epochs=2 if QUICK else 8,
)
result = train(settings)
found = result.summary["metrics"]["cross-validated"]
low, high = found["accuracy_interval_95"]
print(f"\ncross-validated accuracy {found['accuracy']:.1%} of {found['n']}, 95 % interval {low:.1%} to {high:.1%}")

# %%
(file,) = export(result.run)
print(f"{file.path}, {file.size_bytes / 1e6:.1f} MB: {file.describe()}")

# %% [markdown]
# A new photo: here the first of the folder, which the network knows; take one that it does not.

# %%
suffixes = [".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".gif", ".bmp", ".tif", ".tiff"]
new = min(path for path in photos.rglob("[!.]*") if path.suffix.lower() in suffixes)
for label, probability in Classifier(file.path).predict(new).top(3):
    print(f"{label:<12}{probability:>7.1%}")
explain_answer(result.run, new, "explained.png")
Image.open("explained.png")

# %% [markdown]
# **Question.** The cross-validated accuracy is of five networks, and the exported file holds a sixth, which learned
# from all photos. Why is theirs the figure to quote, and not how the sixth does on the same photos?
#
# *Answer.* The sixth has seen every photo and may know it by heart: its answers say nothing of new ones. The five
# were each asked what they had not seen, so together they say how such a network does on new photos; the sixth
# learned from a few more and should be no worse. If all are right, as with the drawn stand-ins, the interval still
# says what 60 photos leave open. And none of it holds for photos of another camera, place or season: try those first.
