"""Training of anything with a ``loss``: data, the loop, moving averages, state on disk, several processes.

Call ``training.loop.train``. Everything that an update sees (members, random draws, learning rate) is a function of
(settings, update), so that a training that was killed and resumed ends in the same bits as one that was not.
"""
