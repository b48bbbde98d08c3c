"""A storm: many small trees run while workers and servers fail and actions change the runs, at random.

The oracle (:mod:`tests.faults.storm.oracle`) checks the rules with the lines that task functions append to a file.
"""
