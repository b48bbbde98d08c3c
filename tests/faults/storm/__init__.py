"""A storm: many small trees run while everything around them is killed, stopped, cut off and steered at random.

What must hold is read from lines that the task functions append to a file (:mod:`tests.faults.storm.oracle`).
"""
