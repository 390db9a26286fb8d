"""A fuzzer of the parsers that is guided by the branches it reaches, and the inputs that it keeps.

`tests/fuzzing.py` runs it, `tests/test_fuzz.py` replays what it kept in `seeds`. It knows how files are put
together (`building`) and the words of the formats (`words`), and nothing of what a parser makes of them.
"""
