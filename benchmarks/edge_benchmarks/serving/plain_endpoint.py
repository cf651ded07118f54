"""The endpoint that tutorials write: FastAPI, a torchvision network and its transforms; `edge serve` is compared to it.

    python -m edge_benchmarks.serving.plain_endpoint BACKBONE PORT

As in "Deploying PyTorch in Python via a REST API", with FastAPI in Flask's place. The weights are random: how long a
network takes does not depend on what it has learnt.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

from PIL import Image

from edge_runtime import UsageError
from edge_train import build, find_backbone, preset


def plain_app(backbone: str) -> Any:
    """The application: POST /predict takes a form with one `file`."""
    import torch
    from fastapi import FastAPI, UploadFile
    from torchvision import transforms

    found = find_backbone(backbone)
    steps, mean, std = preset(found)
    model = build(found, classes=1000).eval()
    transform = transforms.Compose(
        [
            transforms.Resize(steps.resize_px),
            transforms.CenterCrop((steps.height_px, steps.width_px)),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    app = FastAPI()

    async def predict(file: UploadFile) -> dict[str, Any]:
        image = Image.open(BytesIO(await file.read())).convert("RGB")
        with torch.inference_mode():
            probabilities = model(transform(image).unsqueeze(0)).softmax(dim=1)[0]
        top = probabilities.topk(5)
        return {"label": int(top.indices[0]), "top": top.values.tolist()}

    # With the annotations as objects: FastAPI cannot find a name that a function imported.
    predict.__annotations__ = {"file": UploadFile, "return": dict[str, Any]}
    app.post("/predict")(predict)
    return app


def main() -> None:
    """Run as a program."""
    import uvicorn

    if len(sys.argv) != 3:
        raise UsageError("a backbone and a port are needed")
    uvicorn.run(plain_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
