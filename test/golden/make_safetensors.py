"""Makes the golden safetensors files in test/golden/safetensors with the reference implementation.

    python -m venv venv && venv/bin/pip install safetensors numpy
    venv/bin/python test/golden/make_safetensors.py           # writes the files
    venv/bin/python test/golden/make_safetensors.py FILE ...  # prints what it reads in FILE

The committed files were made with safetensors 0.8.0 and numpy 2.4.6.
"""

import json
import os
import struct
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "safetensors")


def write():
    os.makedirs(here, exist_ok=True)
    save_file(
        {
            "dense/kernel": np.array([[1.5, -2.25, 3.0], [0.1, -0.0, np.inf]], dtype=np.float32),
            "steps": np.array(7, dtype=np.int32),
            "image": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
            "mask": np.array([True, False, True]),
            "empty": np.zeros((0, 4), dtype=np.float32),
            "名前": np.array([-5, 2**31 - 1], dtype=np.int32),
            "__proto__": np.array([42], dtype=np.int32),
        },
        os.path.join(here, "native.safetensors"),
        metadata={"format": "test", "text": 'quotes " and \\ and \n and ü'},
    )
    save_file(
        {
            "f64": np.array([0.5, 1e-300, np.pi], dtype=np.float64),
            "f16": np.array([1.0, -0.5, 65504.0, 6e-8, 6.104e-05, np.inf, np.nan], dtype=np.float16),
            "i64": np.array([-(2**31), 0, 2**31 - 1], dtype=np.int64),
            "u64": np.array([0, 12345], dtype=np.uint64),
            "u32": np.array([0, 2**31 - 1], dtype=np.uint32),
            "i16": np.array([-32768, 32767], dtype=np.int16),
            "u16": np.array([0, 65535], dtype=np.uint16),
            "i8": np.array([-128, 127], dtype=np.int8),
        },
        os.path.join(here, "converted.safetensors"),
    )
    # NumPy has no bfloat16, so this one is put together by hand, after the specification.
    header = b'{"bf16":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    with open(os.path.join(here, "bfloat16.safetensors"), "wb") as file:
        # 1, -2, the largest finite value, NaN
        file.write(struct.pack("<Q", len(header)) + header)
        file.write(struct.pack("<4H", 0x3F80, 0xC000, 0x7F7F, 0x7FC0))


def show(path):
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        print(
            json.dumps(
                {
                    "metadata": file.metadata(),
                    "tensors": {
                        name: {"dtype": str(t.dtype), "shape": t.shape, "values": t.ravel().tolist()}
                        for name, t in sorted(tensors.items())
                    },
                },
                ensure_ascii=False,
            )
        )


if len(sys.argv) > 1:
    for path in sys.argv[1:]:
        show(path)
else:
    write()
