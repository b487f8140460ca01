"""A plant of simulated pumps under watch, from history to a model that learns anew: `watchkeeper demo`.

command -> the command line; setup -> the folder and its configuration; processes -> the real commands as processes;
follow -> what they write; live -> what a person sees meanwhile; story -> the chapters in order; judge -> did it happen;
summary -> the last lines and the figures; page and pictures -> the report.
"""
