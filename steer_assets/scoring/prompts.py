"""A text is scored without its prompt.

A prompt that asks for formal writing is formal itself; scored together, it adds the same amount to
every arm and, where the score saturates, hides what steering did.
"""


def strip_prompt(text: str, prompt: str) -> str:
    """The text after its prompt; unchanged (but for outer whitespace) if it does not begin with it.

    White space around the prompt is not counted, since decoding may drop or add it.
    """
    body, head = text.strip(), prompt.strip()
    return body.removeprefix(head).lstrip() if head else body
