"""A study in a number type that the model overflows is rejected with a sentence."""

from steer_assets.pipeline.preflight import dtype_refusal


def test_a_number_type_that_overflows_is_refused_by_name():
    facts = {"model": "huge", "finite_dtypes": "float32,bfloat16"}
    assert dtype_refusal(facts, "bfloat16") is None
    refused = dtype_refusal(facts, "float16")
    assert refused == (
        "huge gives values that are not finite in float16; set numerics.dtype of the study to "
        "float32 or bfloat16"
    )
