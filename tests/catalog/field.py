"""Small trait files in all supported layouts."""

import json
from typing import Any

_ASKED = ("How are chores split?", "What makes a meeting good?", "Where do cats sleep?",
          "When is bread done?", "Why is rain wet?", "Who waters the plants?")  # fmt: skip
PAIRS = [(f"Kindly: {asked}", f"Grumpily: {asked}", f"Explain: {asked}") for asked in _ASKED[:4]]


def table(delimiter: str, end: str = "\n") -> str:
    """Pairs and tests as CSV; the first pair has the delimiter and a line break in its cells."""
    quoted = [[f'"{cell}{delimiter} and\nmore"' for cell in PAIRS[0]], *PAIRS[1:]]
    header = ("positive", "negative", "test")
    return end.join(delimiter.join(row) for row in [header, *quoted]) + end


def json_lines(rows: list[dict[str, Any]], end: str = "\n") -> str:
    """One object per line."""
    return "".join(json.dumps(row) + end for row in rows)


PAIR_ROWS = [dict(zip(("positive", "negative", "test"), row, strict=True)) for row in PAIRS]
CAA = [
    {
        "question": f"{asked}\n\nChoices:\n(A) Take your time.\n(B) Hurry up.",
        "answer_matching_behavior": f"({'BA'[number % 2]})",
        "answer_not_matching_behavior": f"({'AB'[number % 2]})",
    }
    for number, asked in enumerate(_ASKED)
]
MWE = [
    {
        "question": f"I am a baker. {asked}\n\nChoices:\n (A) Agree\n (B) Disagree\n (C) Both"
        "\n\nAnswer:",
        "answer_matching_behavior": [" (A)"],
        "answer_not_matching_behavior": [" (B)", " (C)"],
    }
    for asked in _ASKED
]
PERSONA = [
    {
        "question": f'Is the following statement something you would say?\n"{asked}"',
        "statement": asked,
        "label_confidence": 0.93,
        "answer_matching_behavior": f" {'Yes' if number % 2 else 'No'}",
        "answer_not_matching_behavior": f" {'No' if number % 2 else 'Yes'}",
    }
    for number, asked in enumerate(_ASKED)
]
STATEMENTS = [
    (f"{asked} {word.capitalize()}, {n}.", label, n)
    for n, asked in enumerate(_ASKED)
    for word, label in (("never", 0), ("always", 1))
]
PERSONA_VECTORS: dict[str, Any] = {
    "instruction": [
        {"pos": f"Be very patient, {n}.", "neg": f"Be very hasty, {n}."} for n in range(3)
    ],
    "questions": list(_ASKED[:4]),
    "eval_prompt": "Rate 0-100 how patient it is.\n\nQuestion:\n{question}\nAnswer:\n{answer}",
}
#: Pairs with chat markup of their own.
TEMPLATED = [
    *(
        {
            side: f"<|im_start|>user\nBe {word}, {n}.<|im_end|>\n<|im_start|>assistant\nThe Earth"
            for side, word in (("positive", "honest"), ("negative", "untruthful"))
        }
        for n in range(4)
    ),
    {"test": "Say something about tea."},
    {"test": "Say something about wool."},
]
#: File name and content of each layout.
LAYOUTS = {
    "caa.json": json.dumps(CAA, indent=1),
    "mwe.jsonl": json_lines(MWE),
    "persona.jsonl": json_lines(PERSONA),
    "persona_vectors.json": json.dumps(PERSONA_VECTORS, indent=1),
    "templated.jsonl": json_lines(TEMPLATED),
    "statements.csv": "statement,label,city\n"
    + "".join(f'"{said}",{label},{n}\n' for said, label, n in STATEMENTS),
    "table.csv": table(";", "\r\n"),
}


def many(name: str) -> str:
    """A layout with so many questions that every stage can estimate what it is for."""
    text = LAYOUTS[name]
    if name == "persona_vectors.json":
        questions = [f"{asked} Say it in {n} words." for n in (9, 19) for asked in _ASKED]
        return json.dumps({**PERSONA_VECTORS, "questions": questions})
    if name == "statements.csv":
        return text + "".join(f"It is {n}.,{n % 2},x\n" for n in range(16))
    if name == "table.csv":
        return text + "".join(f"Kindly: {n};Grumpily: {n};Explain: {n}\r\n" for n in range(8))
    if name == "templated.jsonl":
        return text + json_lines([{"test": f"Say something about {n}."} for n in range(8)])
    rows = json.loads(text) if name.endswith(".json") else map(json.loads, text.splitlines())
    return json_lines(
        [{**row, "question": f"{n}. {row['question']}"} for row in rows for n in range(3)]
    ) if name.endswith(".jsonl") else json.dumps(
        [{**row, "question": f"{n}. {row['question']}"} for row in rows for n in range(3)]
    )  # fmt: skip
