"""Files of Keras and TensorFlow that ``convert`` cannot read, and what to do with each of them instead."""

from __future__ import annotations

from convpolicy.conversion.formats import FileFormat

WHOLE_MODEL = (
    "a whole model in HDF5, or weights as Keras 2 saved them; such a file is read if its name ends in .h5 but not in .weights.h5"
)
CHECKPOINT = "a part of a TensorFlow checkpoint; pass the file beside it that ends in .index"
SAVED_MODEL = "a saved TensorFlow graph; load the model that it was made from, and save model.save_weights('NAME.weights.h5')"
INSTEAD = {
    ".data-00000-of-00001": CHECKPOINT,
    ".meta": CHECKPOINT,
    ".pb": SAVED_MODEL,
    ".tflite": SAVED_MODEL,
}


def formats() -> list[FileFormat]:
    """Return a file format for each suffix, which refuses the file and names the alternative."""
    return [
        FileFormat(suffix, instead=instead, description="A file of Keras or TensorFlow that cannot be read.")
        for suffix, instead in INSTEAD.items()
    ]
