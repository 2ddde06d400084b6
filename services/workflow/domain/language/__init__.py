"""The workflow language: what a definition may say, how it is checked, and the compiled form that the engine walks.

Pure: no clock, no I/O, and nothing of a definition is ever evaluated as code.
"""
