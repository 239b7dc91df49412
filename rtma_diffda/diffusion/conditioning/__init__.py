"""How observations enter sampling. Every way in here keeps the contract ``interfaces.Conditioning``.

``prior`` (none), ``replacement`` (RePaint, as DiffDA uses it), ``score_guidance`` (SDA, DPS), ``moment_matching``
(MMPS), ``kalman`` (a gain, no gradient through the network). What observations say is an ``evidence.Evidence``.
"""
