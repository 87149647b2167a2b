"""The language-model engine: load, intervene, capture, decode, differentiate; numpy outside."""
