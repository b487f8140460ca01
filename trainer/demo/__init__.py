"""A plant of simulated pumps under watch, from history to a model that learns anew: `python -m trainer.demo`.

setup -> the folder and its configuration; commands -> the real commands as processes; follow -> what they write;
live -> what a person sees meanwhile; story -> the chapters in order; judge -> did it happen; page -> the report.
broker -> a real Apache Kafka, for `--kafka`, the tests and the benchmark.
"""
