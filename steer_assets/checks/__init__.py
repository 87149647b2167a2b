"""Asset checks: invariants of stored artifacts, one module per group."""

import warnings

import dagster as dg

with warnings.catch_warnings():
    # partitioned checks are a preview feature of Dagster
    warnings.simplefilter("ignore", dg.PreviewWarning)
    from steer_assets.checks import (
        calibration,
        evidence,
        families,
        geometry,
        looks,
        prompts,
        protocols,
        records,
        sampling,
        stability,
        texts,
        vectors,
    )

CHECKS: list[dg.AssetChecksDefinition] = [
    *prompts.CHECKS,
    *geometry.CHECKS,
    *stability.CHECKS,
    *calibration.CHECKS,
    *vectors.CHECKS,
    *sampling.CHECKS,
    *looks.CHECKS,
    *evidence.CHECKS,
    *texts.CHECKS,
    *families.CHECKS,
    *protocols.CHECKS,
    *records.CHECKS,
]
