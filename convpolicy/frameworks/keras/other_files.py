"""Files of Keras and TensorFlow that ``convert`` cannot read, and what to do with each of them instead."""

from __future__ import annotations

from convpolicy.conversion.formats import FileFormat

WHOLE_MODEL = (
    "a whole model in HDF5, or weights as Keras 2 saved them; load it with keras.models.load_model, or into your own model with "
    "model.load_weights, and save model.save_weights('NAME.weights.h5') with Keras 3"
)
CHECKPOINT = (
    "a part of a TensorFlow checkpoint; load it into your own model with tf.train.Checkpoint(model=model).restore, and save "
    "model.save_weights('NAME.weights.h5')"
)
SAVED_MODEL = "a saved TensorFlow graph; load the model that it was made from, and save model.save_weights('NAME.weights.h5')"
INSTEAD = {
    ".h5": WHOLE_MODEL,
    ".hdf5": WHOLE_MODEL,
    ".index": CHECKPOINT,
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
