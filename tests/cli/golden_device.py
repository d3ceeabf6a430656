"""The golden comparison on another device: golden_device.py CHECK_PY BIN DEVICE [CASE ...]

Runs the cases of check.py (the judge, beside it) with `--device DEVICE` added.  Devices multiply in bf16 or f16, so every case is judged by the
limits of bf16; what is exact there (ids, noise, schedule) is exact here."""
import importlib.util, sys

path, binary, device = sys.argv[1:4]
spec = importlib.util.spec_from_file_location('check', path)
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

command, limit, compare = check.command, check.limit, check.compare


def on_device(*args):
    line = command(*args)
    at = line.index('--numerics')
    return line[:at] + device.split() + line[at:]


check.command = on_device
check.limit = lambda name, kind: 2e-6 if name == 'noise' or name.endswith('.eps') else limit(name, check.BF16)
check.compare = lambda want, got, kind, verbose: compare(want, got, check.BF16, verbose)
sys.argv = [path, '--bin', binary] + sys.argv[4:]
sys.exit(check.main())
