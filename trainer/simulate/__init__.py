"""A simulated plant of pumps with known faults: data to try, demonstrate and test watchkeeper on.

sensors -> what is measured; pump -> the physics; drivers -> weather, load and tank; faults -> what goes wrong;
scenario -> when it does; plant -> all of it as a stream of days; output -> where the records go.
"""
