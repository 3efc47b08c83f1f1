"""Classes of image files by an exported network: python predict_onnx.py model.onnx photo.jpg ... [--invert]."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

if __name__ == "__main__":
    model, *names = [arg for arg in sys.argv[1:] if arg != "--invert"]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    prepare, classes = json.loads(metadata["image"]), json.loads(metadata["classes"])
    channels, height, width = prepare["shape"]
    images = np.empty((len(names), channels, height, width), np.uint8)
    for row, name in zip(images, names, strict=True):
        with Image.open(name) as file:
            file.draft(None, (2 * max(height, width),) * 2)  # large JPEG files are decoded at a smaller size
            image = ImageOps.exif_transpose(file)
            if image.has_transparency_data:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            image = image.convert("L" if channels == 1 else "RGB")
        image = ImageOps.invert(image) if "--invert" in sys.argv else image
        fit = ImageOps.pad if prepare["whole"] else Image.Image.resize
        image = fit(image, (width, height), Image.Resampling.BILINEAR)
        row[:] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
    (probabilities,) = session.run(["probability_of"], {"input": images})
    for name, row in zip(names, probabilities, strict=True):
        found = {"file": name, "class": classes[row.argmax()], "probabilities": row.tolist()}
        sys.stdout.write(json.dumps(found) + "\n")
