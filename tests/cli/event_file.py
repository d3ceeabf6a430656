#!/usr/bin/env python3
"""event_file.py DREAMO DATA - TensorBoard's own reader on the event file of a short run that was stopped and resumed, against log.ndjson."""
import json
import os
import subprocess
import sys
import tempfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

dreamo, data = map(os.path.abspath, sys.argv[1:3])
with tempfile.TemporaryDirectory() as work:
    recipe, run = work + "/small.conf", work + "/run"
    with open(recipe, "w") as f:
        f.write("stage = vae\npicture = 32\nbatch = 2\nmicro = 2\nwarmup = 2\nlog_every = 1\nsave_every = 3\nvalidate_every = 3\n"
                "validation = 4\nsample_every = 3\nsamples = 1\ninit = plain\n")
    command = [dreamo, "train", recipe, "-m", data + "/models/tiny", "--data", data + "/assets", "--out", run]
    for more in (["steps=4"], ["steps=8", "--resume"]):
        subprocess.run(command[:3] + more + command[3:], check=True, stdout=subprocess.DEVNULL)
    with open(run + "/log.ndjson") as f:
        lines = [json.loads(line) for line in f]
    events = EventAccumulator(run, size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    steps = [x for x in lines if "loss" in x]
    assert [x["step"] for x in steps] == list(range(1, 9)), steps
    for name in ("loss", "smoothed", "mse", "lr", "grad_norm"):
        got = [(e.step, e.value) for e in events.Scalars(name)]
        want = [(x["step"], x[name]) for x in steps]
        assert len(got) == len(want), (name, got)
        assert all(a[0] == b[0] and abs(a[1] - b[1]) <= 1e-6 * abs(b[1]) for a, b in zip(got, want)), (name, got, want)
    for x in lines:
        for name, value in x.get("validation", {}).items():
            assert any(e.step == x["step"] and abs(e.value - value) <= 1e-6 * abs(value) for e in events.Scalars("validation/" + name)), x
    pictures = events.Images("samples")
    assert [e.step for e in pictures] == [3, 4, 6, 8], pictures
    for e in pictures:
        with open(f"{run}/samples/step-{e.step:06d}.png", "rb") as f:
            assert f.read() == e.encoded_image_string
    print(f"{len(steps)} steps, {len(pictures)} pictures")
