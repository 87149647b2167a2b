"""Definitions and commands load in seconds, with no network and without the heavy libraries."""

import json

from tests.storage.processes import run_python
from tests.timings import slowness

_LOAD = """
import json, resource, socket, sys

def refuse(*_, **__):
    raise OSError("no network here")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
heavy = ("torch", "transformers", "mlflow", "matplotlib", "sklearn")

def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

import steer_assets.cli
command = {"cpu": cpu(), "loaded": [name for name in heavy if name in sys.modules]}
from steer_assets.definitions import defs
defs.resolve_asset_graph() if hasattr(defs, "resolve_asset_graph") else defs.get_asset_graph()
assets = sorted(key.to_user_string() for key in defs.resolve_all_asset_keys())
loaded = [name for name in heavy if name in sys.modules]
print(json.dumps({"command": command, "cpu": cpu(), "loaded": loaded, "assets": assets}))
"""

ASSETS = """activation_caches behavioral_spectra changes_since_last classifier_scores
covariance_matrices equivalence_reports fluency generations identifiability_summary
logit_distances model_snapshot prompt_sets protocol_comparison protocol_measures
protocol_vectors scorer_validation steering_calibration svd_spectra text_divergences
text_fisher vector_families"""


def test_definitions_load_in_seconds_without_torch_and_without_a_network():
    answer = run_python(_LOAD)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["assets"] == ASSETS.split()
    assert "torch" not in found["loaded"]
    assert "transformers" not in found["loaded"]
    # Processor time, not wall time: other load does not change it. Idle, 2.0 s and 0.6 s.
    assert found["cpu"] < 4 * slowness(), found
    assert found["command"]["loaded"] == []
    assert found["command"]["cpu"] < 2 * slowness(), found
