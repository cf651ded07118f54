# %% [markdown]
# # Exercise: what the layers see
#
# A convolution slides small filters over the picture; each gives a map that is bright where its pattern is. Here are
# the filters and the maps of three layers of a pretrained ResNet-18 for one picture.
#
# The same by commands:
#
# ```sh
# edge data shapes --out my-shapes
# edge train --data my-shapes --backbone resnet18 --strategy feature-extraction --epochs 3
# edge explain --activations list
# edge explain my-shapes/test/triangle/0000.png --activations conv1
# edge explain my-shapes/test/triangle/0000.png --activations layer2
# edge explain my-shapes/test/triangle/0000.png
# ```

# %%
import sys
from pathlib import Path

from PIL import Image

from edge_vision import TrainSettings, draw_activations, draw_shapes, explain_answer, list_layers, train

QUICK = "--quick" in sys.argv  # as the project's tests run it
folder = Path("my-shapes-quick" if QUICK else "my-shapes")
if not folder.exists():
    draw_shapes(folder, counts=(24, 9, 9) if QUICK else (300, 60, 60))
picture = folder / "test" / "triangle" / "0000.png"  # or a photo of your own

# %% [markdown]
# Feature extraction leaves the backbone as it came, so these are the filters that a million photos made.

# %%
settings = TrainSettings(
    data=str(folder),
    backbone="resnet18",
    strategy="feature-extraction",
    image_size=96 if QUICK else None,
    epochs=1 if QUICK else 3,
)
run = train(settings).run
for layer in list_layers(run):
    if "." not in layer.name:
        print(f"{layer.name:<10}{layer.kind:<20}{layer.shape}{'' if layer.has_maps else ' no maps'}")

# %% [markdown]
# The first layer: edges of all directions, blobs and colours, and what each finds in the picture.

# %%
draw_activations(run, picture, "conv1", "conv1.png")
Image.open("conv1.png")

# %%
draw_activations(run, picture, "layer2", "layer2.png")
Image.open("layer2.png")

# %%
last = draw_activations(run, picture, "layer4", "layer4.png")
count, high, wide = last.maps.shape
print(f"layer4 gives {count} maps of {high}×{wide} places, {last.by_strength[:5]} the strongest")
Image.open("layer4.png")

# %% [markdown]
# All maps of the last layer at once, weighed by what they say for the answer: Grad-CAM.

# %%
answer = explain_answer(run, picture, "explained.png")
print(f"{answer.label} {answer.probability:.1%}")
Image.open("explained.png")

# %% [markdown]
# **Question.** The first layer's maps look like the picture, the last layer's like a few squares. Has the network
# lost the triangle on the way?
#
# *Answer.* It has traded where for what. Each layer halves the picture and gives more maps: 64 of 96×96 places become
# 512 of 6×6. A place of the last layer sees nearly the whole picture, and its 512 numbers say what is there rather
# than what it looks like. That is what the head needs, and why Grad-CAM tells a region, never an outline.
